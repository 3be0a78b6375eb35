"""Every route of the API, as the application lists them, and requests that reach it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from fastapi.routing import APIRoute

from workflow_engine.api.app import ROUTERS, openapi_document

NO_ID: Final = "01890a5d-ac96-774b-bcce-b302099a8057"
"""The id of no run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A route, and a request that reaches it."""

    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def goes_on(self) -> bool:
        """Whether its answer ends only when the client leaves."""
        return self.path.endswith("/stream")

    @property
    def url(self) -> str:
        """A path about a run that does not exist, or about ``orders``."""
        return re.sub(r"\{(\w+)[^}]*\}", lambda found: NO_ID if "id" in found[1] else "orders", self.path)

    @property
    def body_schema(self) -> Mapping[str, Any]:
        """What its body must be like; empty for a route without a body."""
        body = _document()["paths"][self.path][self.method.lower()].get("requestBody")
        schema: Any = {} if body is None else body["content"]["application/json"]["schema"]
        while "$ref" in schema or "anyOf" in schema:
            schema = schema.get("anyOf", [schema])[0]
            schema = _schema_of(schema.get("$ref"), schema)
        return schema  # type: ignore[no-any-return]  of JSON

    @property
    def body_fields(self) -> Mapping[str, Mapping[str, Any]]:
        """What each field of its body must be like; empty for a route without a body."""
        found: Mapping[str, Mapping[str, Any]] = self.body_schema.get("properties", {})
        return found

    @property
    def good_body(self) -> dict[str, Any] | None:
        """A body that is as it should be: the document's own example."""
        return dict(self.body_schema.get("examples", [{}])[0]) if self.body_schema else None

    @property
    def parameters(self) -> list[str]:
        """Its query parameters."""
        found = _document()["paths"][self.path][self.method.lower()].get("parameters", [])
        return [each["name"] for each in found if each["in"] == "query"]


@cache
def _document() -> Any:
    return openapi_document()


def _schema_of(reference: str | None, otherwise: Any) -> Any:
    return _document()["components"]["schemas"][reference.rpartition("/")[2]] if reference else otherwise


ROUTES: Final = [
    Asked(method=method, path=route.path)
    for router in ROUTERS
    for route in router.routes
    if isinstance(route, APIRoute)
    for method in sorted(route.methods)
]
OPEN: Final = {"/health/live", "/health/ready", "/health/startup"}
"""What everybody may ask."""
GUARDED: Final = [route for route in ROUTES if route.path not in OPEN]
OF_READERS: Final = {"/v1/events/tickets"}
"""What changes nothing, though it is no GET."""
WRITES: Final = [route for route in GUARDED if route.method != "GET" and route.path not in OF_READERS]
WITH_BODY: Final = [route for route in WRITES if route.body_fields]
