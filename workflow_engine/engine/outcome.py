"""What a handled command leaves to do once its transaction has committed."""

from dataclasses import dataclass
from typing import Any

from workflow_engine.engine.dispatcher import Dispatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The answer to a command, and its effects."""

    value: Any = None
    dispatches: tuple[Dispatch, ...] = ()


NOTHING = Outcome()
"""A command that changed nothing: late, repeated, or about something that is gone."""
