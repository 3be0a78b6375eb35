"""Links of a run: to what else the API tells about it, and to its tasks in Flower."""

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends
from starlette.requests import Request

from workflow_engine.api.dependencies import namespace_of, parts_of
from workflow_engine.api.schemas.runs import Links


class LinkMaker:
    """Makes the links of the runs in one answer; they lead to the namespace that the request was about."""

    def __init__(self, root: str, namespace: str | None, flower_url: str | None) -> None:
        """Link below ``root``; ``namespace`` is what links must name, None if it is the default."""
        self._root = root
        self._query = "" if namespace is None else "?" + urlencode({"namespace": namespace})
        self._flower_url = flower_url

    def of(self, run_id: str) -> Links:
        """Return the links of a run."""
        here = f"{self._root}/v1/runs/{run_id}"
        return Links.model_construct(
            itself=here + self._query,
            steps=f"{here}/steps{self._query}",
            events=f"{here}/events{self._query}",
            graph=f"{here}/graph{self._query}",
            flower=self._flower(run_id),
        )

    def _flower(self, run_id: str) -> str | None:
        """Return where Flower lists the run's tasks: a run's id is the root id of all of them."""
        if self._flower_url is None:
            return None
        return f"{self._flower_url.rstrip('/')}/tasks?{urlencode({'search': f'root_id:{run_id}'})}"


async def links_of(request: Request, namespace: Annotated[str, Depends(namespace_of)]) -> LinkMaker:
    """Return what makes links for an answer."""
    settings = parts_of(request).settings
    named = None if namespace == settings.namespace else namespace
    return LinkMaker(request.scope.get("root_path", "").rstrip("/"), named, settings.flower_url)


LinksHere = Annotated[LinkMaker, Depends(links_of)]
