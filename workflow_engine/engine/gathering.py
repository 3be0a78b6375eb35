"""Gathering: submits that come while others are being stored go together: one commit for all, one way to the broker."""

import logging
import os
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Event as Flag
from threading import Lock
from typing import Any, Final

from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.engine.outcome import Outcome, Told
from workflow_engine.errors import DatabaseUnavailable
from workflow_engine.model.commands import SubmitRun

logger = logging.getLogger(__name__)

AT_ONCE: Final = 2
"""Transactions under way before a submit waits for others: one for the database, one whose turn is here."""

MOST: Final = 50
"""Submits that go together."""

LARGE: Final = 65_536
"""Characters of an input that is not put together with others."""


@dataclass(frozen=True, slots=True)
class Finish:
    """What a submitter does after the commit."""

    send: Callable[[Sequence[Dispatch]], None]
    announce: Callable[[Told], None]


@dataclass(slots=True, eq=False)
class _Place:
    """A submit in a group, and what came of it."""

    command: SubmitRun
    turn: Flag = field(default_factory=Flag)
    """Set when its thread may go on."""
    group: "list[_Place]" = field(default_factory=list)
    """Those for whom its thread is to act; the place itself is the first."""
    stored: tuple[Outcome, Told] | None = None
    is_sent: bool = False
    reason: str | None = None
    """Why nobody knows whether it is stored."""


class Gathering:
    """Stores submits, each in its caller's thread or with others in one of theirs; whoever comes alone never waits.

    Putting them together is only for speed: where a group fails for any other reason than that the database is away,
    each submit of it goes alone, and gets its own answer or its own error.
    """

    def __init__(
        self,
        alone: Callable[[SubmitRun], tuple[Outcome, Told]],
        together: Callable[[Sequence[SubmitRun]], tuple[Outcome, Told]],
        finish: Finish,
    ) -> None:
        """Store one with ``alone``, several with ``together``; both return when it is committed."""
        self._alone = alone
        self._together = together
        self._finish = finish
        self.forget()
        os.register_at_fork(after_in_child=partial(_forget_parent, weakref.ref(self)))

    def forget(self) -> None:
        """Begin anew: a forked process has the parent's fields, a lock that may be held, and none of its threads."""
        self._lock = Lock()
        self._under_way = 0
        self._waiting: deque[_Place] = deque()

    def submit(self, command: SubmitRun) -> Any:
        """Store a run, send its roots and return the answer.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
            IdempotencyConflict: its key belongs to a run with another input.
        """
        if not _may_go_with_others(command):
            return self._finished(self._alone(command))
        place = self._enter(command)
        try:
            place.turn.wait()
        except BaseException:
            self._leave(place)
            raise
        if place.group:
            self._lead(place.group)
        if place.reason is not None:
            raise DatabaseUnavailable(place.reason)
        if place.stored is None:
            return self._finished(self._alone(command))
        return self._finished(place.stored, is_sent=place.is_sent)

    def _enter(self, command: SubmitRun) -> _Place:
        place = _Place(command)
        with self._lock:
            if self._under_way < AT_ONCE:
                self._under_way += 1
                place.group = [place]
                place.turn.set()
            else:
                self._waiting.append(place)
        return place

    def _leave(self, place: _Place) -> None:
        """Somebody was interrupted while it waited: those who would wait for its thread go on."""
        with self._lock:
            if place in self._waiting:
                self._waiting.remove(place)
            group = place.group
        if group:
            self._pass_on()
            for other in group[1:]:
                other.turn.set()

    def _lead(self, group: list[_Place]) -> None:
        """Act for a group; nobody of it waits afterwards, whatever happens."""
        try:
            try:
                self._store(group)
            finally:
                self._pass_on()
            self._send(group)
        finally:
            for place in group[1:]:
                place.turn.set()

    def _store(self, group: list[_Place]) -> None:
        if len(group) == 1:
            group[0].stored = self._alone(group[0].command)
            return
        reason: str | None = "whoever stored this run with others was interrupted: it may be stored or not"
        try:
            outcome, told = self._together([place.command for place in group])
            for place, value in zip(group, outcome.value, strict=True):
                place.stored = _part(place.command, value, outcome, told)
            reason = None
        except DatabaseUnavailable as error:
            reason = str(error)
        except Exception as error:  # each alone will be told, unless it was somebody else's fault
            logger.warning("%d submits could not be stored together; each goes alone: %r", len(group), error)
            reason = None
        finally:
            for place in group:
                place.reason = reason

    def _pass_on(self) -> None:
        """Let those who have come meanwhile go next, in the thread of the first of them."""
        with self._lock:
            group = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST))]
            if not group:
                self._under_way -= 1
                return
            group[0].group = group
        group[0].turn.set()

    def _send(self, group: list[_Place]) -> None:
        sent = [each for place in group if place.stored for each in place.stored[0].dispatches]
        if len(group) == 1 or not sent:
            return
        try:
            self._finish.send(sent)
        except Exception as error:  # each sends its own, again where it was sent, and hears what is refused of it
            logger.warning("the steps of %d submits could not be sent together: %r", len(group), error)
            return
        for place in group:
            place.is_sent = True

    def _finished(self, stored: tuple[Outcome, Told], *, is_sent: bool = False) -> Any:
        outcome, told = stored
        if not is_sent:
            self._finish.send(outcome.dispatches)
        self._finish.announce(told)
        return outcome.value


def _may_go_with_others(command: SubmitRun) -> bool:
    """Return whether it will hold up nobody, as it would where somebody has its key in a transaction that is open."""
    return command.options.idempotency_key is None and len(command.input) <= LARGE


def _part(command: SubmitRun, value: Any, outcome: Outcome, told: Told) -> tuple[Outcome, Told]:
    """Return what of a group's effects is about one of its runs."""
    run_id = command.run_id
    own = Told(told.wanted, told.published, [record for record in told.records if record.run_id == run_id])
    return Outcome(value=value, dispatches=tuple(each for each in outcome.dispatches if each.run_id == run_id)), own


def _forget_parent(gathering: "weakref.ref[Gathering]") -> None:
    if (alive := gathering()) is not None:
        alive.forget()
