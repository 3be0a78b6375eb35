"""What a handled command leaves to do once its transaction has committed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.model.records import EventRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The answer to a command, and its effects."""

    value: Any = None
    dispatches: tuple[Dispatch, ...] = ()


@dataclass(slots=True)
class Told:
    """What a transaction has published: what is to be made known after its commit."""

    wanted: frozenset[str]
    """The events that an inline subscriber of this process wants; records are made of no others."""
    published: bool = False
    records: list[EventRecord] = field(default_factory=list)

    def add(self, records: Sequence[EventRecord]) -> None:
        """Keep what somebody wants."""
        self.published = True
        self.records += [record for record in records if record.name in self.wanted]


NOTHING = Outcome()
"""A command that changed nothing: late, repeated, or about something that is gone."""
