"""Guard the application: who comes in, how often, with how much, and for how long."""

from typing import Final

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from workflow_engine.api.authentication import Authentication, Door, LocalDoor, TicketDoor, TokenDoor
from workflow_engine.api.limits import Limits
from workflow_engine.api.rates import Rates
from workflow_engine.api.tokens import tokens_of
from workflow_engine.client.stream_tickets import StreamTickets
from workflow_engine.config import Settings
from workflow_engine.errors import ConfigurationError

_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_ASKED: Final = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-None-Match",
    "Last-Event-ID",
    "X-Correlation-ID",
)
_TOLD: Final = ("ETag", "Location", "Retry-After", "WWW-Authenticate")


def guard(app: FastAPI, settings: Settings, tickets: StreamTickets) -> None:
    """Put doors and limits before an application; what is added last is met first.

    Raises:
        ConfigurationError: there is no key to check tokens with, or one that cannot be used.
    """
    if settings.api_max_body_bytes < settings.input_limit_bytes:
        raise ConfigurationError("WFE_API_MAX_BODY_BYTES must be at least WFE_INPUT_LIMIT_BYTES")
    rates = Rates(settings.api_rate_per_second, settings.api_rate_burst)
    app.add_middleware(Authentication, door=_door(settings, tickets), rates=rates)
    app.add_middleware(Limits, max_body_bytes=settings.api_max_body_bytes, seconds=settings.api_request_seconds)
    if settings.api_cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.api_cors_origins,
            allow_methods=_METHODS,
            allow_headers=_ASKED,
            expose_headers=_TOLD,
        )


def _door(settings: Settings, tickets: StreamTickets) -> Door:
    if settings.api_auth == "off":
        settings.refuse_contradictions_of_api()  # it may be a copy that nobody has checked
        return LocalDoor(settings.api_cors_origins)
    return TicketDoor(TokenDoor(tokens_of(settings)), tickets)
