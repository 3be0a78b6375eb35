"""What the doctor finds."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """Works now; it may not do so under load, or after a fault, or it does not do all it could."""
    ERROR = "error"
    """Something does not work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    check: str
    """What was looked at, always by the same name."""
    level: Level
    sentence: str
    """What there is, for people."""
    advice: str | None = None
    """What to do about it."""

    @property
    def is_fine(self) -> bool:
        """Whether there is nothing to do."""
        return self.level is Level.OK


def fine(check: str, sentence: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(check=check, level=Level.OK, sentence=sentence)


def warning(check: str, sentence: str, advice: str) -> Finding:
    """Return something to look after."""
    return Finding(check=check, level=Level.WARNING, sentence=sentence, advice=advice)


def failing(check: str, sentence: str, advice: str) -> Finding:
    """Return something that does not work."""
    return Finding(check=check, level=Level.ERROR, sentence=sentence, advice=advice)
