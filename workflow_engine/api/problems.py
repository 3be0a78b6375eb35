"""Every exception as an RFC 9457 problem (``application/problem+json``): one table, looked up by class."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import Request

from workflow_engine import errors
from workflow_engine.api import refusals

logger = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"
_TYPE: Final = "urn:workflow-engine:problem:"
_LONGEST: Final = 1_000
"""Characters of a sentence, however much of what was sent it repeats."""
_MOST_ERRORS: Final = 100
_SHOWN: Final = 300
"""Characters of a refused value, or of a name in a path, that an answer repeats."""
_RETRY_SOON: Final = {"Retry-After": "1"}


class FieldError(BaseModel):
    """One thing to change about a request."""

    field: str = Field(examples=["title"])
    reason: str = Field(examples=["String should have at most 200 characters"])


class Problem(BaseModel):
    """An RFC 9457 problem: what every refused request is answered with; ``state`` and the like may be beside it."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:workflow-engine:problem:invalid-input"], description="Names the kind of problem.")
    title: str = Field(examples=["Invalid input"], description="The kind, for people.")
    status: int = Field(examples=[422], description="The HTTP status.")
    detail: str = Field(examples=["title: String should have at most 200 characters"], description="What happened.")
    instance: str = Field(examples=["/v1/workflows/orders/runs"], description="The path that was asked for.")
    errors: list[FieldError] | None = Field(default=None, description="What to change, field by field.")


@dataclass(frozen=True, slots=True)
class _Kind:
    """How exceptions of a class are answered."""

    code: HTTPStatus
    title: str
    facts: Sequence[str] = ()
    """Attributes of the exception that go into the answer under their own names."""
    headers: Mapping[str, str] | None = None

    @property
    def type(self) -> str:
        return _TYPE + self.title.lower().replace(" ", "-")


_KINDS: Final[Mapping[type[Exception], _Kind]] = {
    errors.InvalidInput: _Kind(HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid input"),
    errors.EventRefused: _Kind(HTTPStatus.UNPROCESSABLE_ENTITY, "Event refused", ("event",)),
    errors.WorkflowNotFound: _Kind(HTTPStatus.NOT_FOUND, "Workflow not found"),
    errors.RunNotFound: _Kind(HTTPStatus.NOT_FOUND, "Run not found"),
    errors.ScheduleNotFound: _Kind(HTTPStatus.NOT_FOUND, "Schedule not found"),
    errors.DeadLetterNotFound: _Kind(HTTPStatus.NOT_FOUND, "Dead letter not found"),
    errors.SubscriberNotFound: _Kind(HTTPStatus.NOT_FOUND, "Subscriber not found"),
    errors.IdempotencyConflict: _Kind(HTTPStatus.CONFLICT, "Idempotency conflict", ("key", "run_id")),
    errors.RunEnded: _Kind(HTTPStatus.CONFLICT, "Run ended", ("run_id", "state")),
    errors.StepNotFound: _Kind(HTTPStatus.NOT_FOUND, "Step not found", ("run_id", "step")),
    errors.WrongState: _Kind(HTTPStatus.CONFLICT, "Wrong state", ("state",)),
    errors.NotDead: _Kind(HTTPStatus.CONFLICT, "Not dead", ("state",)),
    errors.IllegalTransition: _Kind(HTTPStatus.CONFLICT, "Illegal transition", ("state",)),
    errors.DefinitionChanged: _Kind(HTTPStatus.CONFLICT, "Definition changed", ("workflow", "version", "difference")),
    errors.DefinitionError: _Kind(HTTPStatus.CONFLICT, "Definition error"),
    errors.DatabaseUnavailable: _Kind(HTTPStatus.SERVICE_UNAVAILABLE, "Database unavailable", headers=_RETRY_SOON),
    errors.DatabaseNotMigrated: _Kind(HTTPStatus.SERVICE_UNAVAILABLE, "Database not migrated", headers=_RETRY_SOON),
    errors.BrokerUnavailable: _Kind(HTTPStatus.SERVICE_UNAVAILABLE, "Broker unavailable", headers=_RETRY_SOON),
    refusals.Unauthorized: _Kind(HTTPStatus.UNAUTHORIZED, "Unauthorized"),
    refusals.Forbidden: _Kind(HTTPStatus.FORBIDDEN, "Forbidden"),
    refusals.NotThere: _Kind(HTTPStatus.NOT_FOUND, "Not found"),
    refusals.TooLarge: _Kind(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Too large"),
    refusals.TooMany: _Kind(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests"),
    refusals.KeysUnavailable: _Kind(HTTPStatus.SERVICE_UNAVAILABLE, "Keys unavailable"),
    refusals.Overloaded: _Kind(HTTPStatus.SERVICE_UNAVAILABLE, "Overloaded", headers=_RETRY_SOON),
    errors.WorkflowEngineError: _Kind(HTTPStatus.INTERNAL_SERVER_ERROR, "Server error"),
}
"""Add a class here when the API should tell its callers about it; subclasses follow their nearest base."""


def kind_of(error: type[Exception]) -> _Kind:
    """Return how exceptions of a class are answered."""
    return next(_KINDS[each] for each in error.__mro__ if each in _KINDS)


def answer_problems(app: FastAPI) -> None:
    """Have an application answer every exception with a problem."""
    app.add_exception_handler(errors.WorkflowEngineError, _on_library_error)
    app.add_exception_handler(RequestValidationError, _on_wrong_request)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_anything_else)


def problem(
    request: Request,
    code: HTTPStatus,
    detail: str,
    *,
    title: str | None = None,
    type: str | None = None,  # noqa: A002  RFC 9457's word
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    **facts: Any,
) -> JSONResponse:
    """Return a problem as an answer."""
    title = title or code.phrase.capitalize()
    content: dict[str, Any] = {
        "type": type or _TYPE + title.lower().replace(" ", "-"),
        "title": title,
        "status": code.value,
        "detail": _sayable(detail),
        "instance": _sayable(request.scope["path"][:_SHOWN]),
        **facts,
    }
    if errors:
        content["errors"] = [{name: _sayable(text) for name, text in each.items()} for each in errors[:_MOST_ERRORS]]
    return JSONResponse(content, code.value, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def problem_of(request: Request, error: Exception) -> JSONResponse:
    """Return an exception of ours as an answer, also for middleware, which no exception handler covers."""
    kind = kind_of(type(error))
    if kind.code is HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("%s %s failed", request.method, request.scope["path"], exc_info=error)
    headers = {**(kind.headers or {}), **getattr(error, "headers", {})}
    field, reason = getattr(error, "field", None), getattr(error, "reason", None)
    return problem(
        request,
        kind.code,
        str(error),
        title=kind.title,
        type=kind.type,
        errors=[] if field is None else [{"field": field, "reason": reason or str(error)}],
        headers=headers,
        **{name: getattr(error, name) for name in kind.facts},
    )


async def _on_library_error(request: Request, error: Exception) -> JSONResponse:
    return problem_of(request, error)


async def _on_wrong_request(request: Request, error: Exception) -> JSONResponse:
    """Answer 400 where the body is no JSON at all, else 422 with every field that is wrong."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    if any(each["type"] == "json_invalid" for each in found):
        reason = found[0].get("ctx", {}).get("error", "")
        return problem(request, HTTPStatus.BAD_REQUEST, f"the body is not JSON: {reason}", title="Malformed JSON")
    wrong = [{"field": _field(each["loc"]), "reason": each["msg"]} for each in found]
    detail = "; ".join(f"{each['field']}: {each['reason']}" for each in wrong)
    kind = kind_of(errors.InvalidInput)
    return problem(request, kind.code, detail, title=kind.title, type=kind.type, errors=wrong)


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    """Answer what Starlette and FastAPI refuse by themselves: unknown paths and methods, unreadable bodies."""
    if not isinstance(error, HTTPException):
        return await _on_anything_else(request, error)
    return problem(request, HTTPStatus(error.status_code), str(error.detail), headers=error.headers)


async def _on_anything_else(request: Request, error: Exception) -> JSONResponse:
    """Answer what nobody expected; the log has it, the answer does not."""
    del error  # Starlette raises it again, for the server's log
    return problem(
        request, HTTPStatus.INTERNAL_SERVER_ERROR, "this should not have happened; the server's log says more"
    )


def _field(location: Sequence[int | str]) -> str:
    """Return a place in a request as people write it: ``tags[3]``; of the body without saying so."""
    parts = location[1:] if len(location) > 1 else location
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.removeprefix(".")[:_SHOWN]


def _sayable(text: str) -> str:
    """Return text as JSON can carry it, and not all of what is long: a lone surrogate that was sent is not repeated."""
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} … {text[-_SHOWN:]}"
    return text.encode(errors="replace").decode()
