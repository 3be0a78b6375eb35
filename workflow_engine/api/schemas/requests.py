"""What every request body has in common, and the forms of its values."""

from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

MOST_SECONDS: Final = 366 * 24 * 3600
Seconds = Annotated[float, Field(gt=0, le=MOST_SECONDS)]
Moment = Annotated[AwareDatetime, Field(description="ISO 8601 with a time zone.")]


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
