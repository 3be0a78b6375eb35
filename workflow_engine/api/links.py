"""Links of a run: to what else the API tells about it, and to its tasks in Flower."""

from urllib.parse import urlencode

from workflow_engine.api.schemas.runs import Links
from workflow_engine.celery_app.flower import FlowerLinks


class LinkMaker:
    """Makes the links of the runs in one answer; they lead to the namespace that the request was about."""

    def __init__(self, root: str, namespace: str | None, flower: FlowerLinks | None) -> None:
        """Link below ``root``; ``namespace`` is what links must name, None if it is the default."""
        self._root = root
        self._query = "" if namespace is None else "?" + urlencode({"namespace": namespace})
        self._flower = flower

    def of(self, run_id: str) -> Links:
        """Return the links of a run."""
        here = f"{self._root}/v1/runs/{run_id}"
        return Links.model_construct(
            itself=here + self._query,
            steps=f"{here}/steps{self._query}",
            events=f"{here}/events{self._query}",
            graph=f"{here}/graph{self._query}",
            flower=None if self._flower is None else self._flower.run(run_id),
        )
