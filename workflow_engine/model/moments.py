"""Moments that are said from outside and kept."""

from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime

_EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)


def _keepable(moment: datetime) -> datetime:
    """Return a moment that Python can still tell in every time zone, and with a year more or less.

    PostgreSQL keeps moments that Python cannot read: a row with one, and each list that it is in, could not be shown.
    """
    if not _EARLIEST <= moment < _LATEST:
        raise ValueError(f"must be from the year {_EARLIEST.year} to {_LATEST.year - 1}, in UTC")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_keepable)]
"""A time with a zone, from the year 1900 to 9998."""
