"""What every request body has in common, and the forms of its values."""

from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from workflow_engine.model import moments

MOST_SECONDS: Final = 366 * 24 * 3600
Seconds = Annotated[float, Field(gt=0, le=MOST_SECONDS, strict=True)]


def _said_in_words(value: Any) -> Any:
    """Refuse numbers, as text too, in which Pydantic reads seconds or milliseconds since 1970, as it finds likely."""
    if _is_number(value):
        raise ValueError("must be a time in ISO 8601 with a time zone, not a number")
    return value


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except OverflowError:
        return True
    except (TypeError, ValueError):
        return False
    return True


Then = Annotated[AwareDatetime, BeforeValidator(_said_in_words)]
Moment = Annotated[moments.Moment, BeforeValidator(_said_in_words), Field(description="ISO 8601 with a time zone.")]
Switch = Annotated[bool, Field(strict=True)]


class RequestBody(BaseModel):
    """A request's body: a field that it does not know is refused, by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def said(self, *, without: frozenset[str] = frozenset()) -> dict[str, Any]:
        """Return what the request says, by name; what it leaves out is absent, None too."""
        given = {name: getattr(self, name) for name in self.model_fields_set - without}
        return {name: value for name, value in given.items() if value is not None}


def as_seconds(length: timedelta | None) -> float | None:
    """Return a length as answers have it."""
    return None if length is None else length.total_seconds()
