"""What only the API refuses; what the library refuses is in ``workflow_engine.errors``."""

from collections.abc import Mapping

from workflow_engine.errors import WorkflowEngineError


class ApiRefusal(WorkflowEngineError):
    """A request that is not answered. ``field`` names what to change, ``headers`` go into the answer."""

    def __init__(self, detail: str, *, field: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.field = field
        self.headers = dict(headers or {})


class Unauthorized(ApiRefusal):
    """Nobody knows who asks."""


class Forbidden(ApiRefusal):
    """Who asks may not do that."""


class NotThere(ApiRefusal):
    """What is asked for is not there, and is nothing that the library knows of."""


class TooLarge(ApiRefusal):
    """The body is larger than is read."""


class TooMany(ApiRefusal):
    """Too many requests of one caller; ``Retry-After`` is in the headers."""


class KeysUnavailable(ApiRefusal):
    """The keys that tokens are checked with could not be had so far."""


class Overloaded(ApiRefusal):
    """This process has as much to do as it may have; another one, or a moment later, may answer."""
