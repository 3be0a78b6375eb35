"""The OpenAPI document: what FastAPI says of refusals is replaced by what is really answered, RFC 9457 problems."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI

from workflow_engine.api.authentication import is_open_path
from workflow_engine.api.examples import add_examples
from workflow_engine.api.problems import MEDIA_TYPE, Problem

_REFERENCE: Final = "#/components/schemas/"
_ANSWERS: Final = "#/components/responses/"
_SCHEME: Final = "token"
_NOT_OURS: Final = ("HTTPValidationError", "ValidationError")
_CHANGES: Final = frozenset({"post", "put", "patch", "delete"})
_WHY: Final = {
    HTTPStatus.BAD_REQUEST: "The body is not JSON.",
    HTTPStatus.UNAUTHORIZED: "There is no token, or it is not valid, or it has expired.",
    HTTPStatus.FORBIDDEN: "The scope is missing, or the namespace is none of the caller's.",
    HTTPStatus.NOT_FOUND: "There is none, or it is of another namespace.",
    HTTPStatus.CONFLICT: "It does not go with the present state, which the problem names.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is too large.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Something of the request is wrong; `errors` names the fields.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many requests of one caller; see `Retry-After`.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The database, the broker or the keys cannot be had now; see `Retry-After`.",
}


def document_problems(app: FastAPI) -> None:
    """Have an application's document say how it refuses."""
    usual = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _describe(usual())
        return usual()

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _describe(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    for name in _NOT_OURS:
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template=_REFERENCE + "{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    document["components"]["responses"] = {code.name: _answer(why) for code, why in _WHY.items()}
    document["components"]["securitySchemes"] = {_SCHEME: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if not is_open_path(path):
                operation["security"] = [{_SCHEME: []}]
            answers = operation["responses"]
            answers.pop("422", None)
            for code in _refusals(path, method, operation):
                answers.setdefault(str(code.value), {"$ref": f"{_ANSWERS}{code.name}"})
    add_examples(document)


def _refusals(path: str, method: str, operation: dict[str, Any]) -> Iterator[HTTPStatus]:
    """Yield how an operation may refuse."""
    if is_open_path(path):
        return
    if "requestBody" in operation:
        yield HTTPStatus.BAD_REQUEST
        yield HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    yield HTTPStatus.UNAUTHORIZED
    yield HTTPStatus.FORBIDDEN
    if "{" in path or method in _CHANGES:
        yield HTTPStatus.NOT_FOUND
    if method in _CHANGES:
        yield HTTPStatus.CONFLICT
    yield HTTPStatus.UNPROCESSABLE_ENTITY
    yield HTTPStatus.TOO_MANY_REQUESTS
    yield HTTPStatus.SERVICE_UNAVAILABLE


def _answer(description: str) -> dict[str, Any]:
    return {"description": description, "content": {MEDIA_TYPE: {"schema": {"$ref": f"{_REFERENCE}Problem"}}}}
