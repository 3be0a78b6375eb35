"""Calls of a subscriber's code, in a thread that can be left behind when one hangs."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Condition, Thread
from time import monotonic
from typing import Any, Final

from workflow_engine.errors import NonRetryable
from workflow_engine.model.commands import StepError
from workflow_engine.model.events import MESSAGE_LIMIT

logger = logging.getLogger(__name__)

MOST_ABANDONED: Final = 8
"""Calls of one subscriber that may hang at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call: what it gets, and of which run it is."""

    argument: Any
    run_id: str | None = None


@dataclass(slots=True, kw_only=True)
class Answer:
    """What came of calls, by their number."""

    reached: int = 0
    """Calls up to here were made, or left out behind a failed one of their run."""
    failures: dict[int, StepError] = field(default_factory=dict)
    left_out: set[int] = field(default_factory=set)
    final: set[int] = field(default_factory=set)
    """Failures that another try would not change."""


class _Round:
    """Calls that a thread makes one after the other, while another one looks at the clock."""

    def __init__(
        self,
        function: Callable[[Any], object],
        calls: Sequence[Call],
        go_on: Callable[[], bool],
        failed_runs: frozenset[str],
    ) -> None:
        self.answer = Answer()
        self.changed = Condition()
        self.is_over = False
        self.is_abandoned = False
        self.began_at: float | None = None
        self._function = function
        self._calls = calls
        self._go_on = go_on
        self._failed_runs = set(failed_runs)

    def work(self) -> None:
        for number, call in enumerate(self._calls):
            if not self._go_on() or not self._begin():
                break
            if call.run_id in self._failed_runs:
                self.answer.left_out.add(number)
                self.answer.reached = number + 1
                continue
            error = self._try(call)
            if not self._end(number, call, error):
                return
        with self.changed:
            self.is_over = True
            self.changed.notify_all()

    def wait(self, timeout: float) -> bool:
        """Return True when it is over, False once a call takes longer than ``timeout``: then it is abandoned."""
        with self.changed:
            while not self.is_over:
                left = timeout if self.began_at is None else self.began_at + timeout - monotonic()
                if left <= 0:
                    self.is_abandoned = True
                    return False
                self.changed.wait(left)
        return True

    def _begin(self) -> bool:
        with self.changed:
            self.began_at = monotonic()
            return not self.is_abandoned

    def _try(self, call: Call) -> BaseException | None:
        try:
            self._function(call.argument)
        except BaseException as error:  # a subscriber that calls sys.exit has failed, and no more
            logger.debug("a subscriber raised", exc_info=True)
            return error
        return None

    def _end(self, number: int, call: Call, error: BaseException | None) -> bool:
        with self.changed:
            if self.is_abandoned:  # too late: it counted as failed
                return False
            self.began_at = monotonic()
            self.answer.reached = number + 1
            if error is not None:
                self.answer.failures[number] = as_error(error)
                if isinstance(error, NonRetryable):
                    self.answer.final.add(number)
                if call.run_id is not None:
                    self._failed_runs.add(call.run_id)
        return True


class Caller:
    """Makes the calls of one subscriber."""

    def __init__(self, name: str, timeout: float) -> None:
        """Name its threads after the subscriber; let a call take ``timeout`` seconds."""
        self._name = name
        self._timeout = timeout
        self._rounds: SimpleQueue[_Round | None] | None = None
        self._hanging = 0
        self._room = Condition()

    @property
    def is_exhausted(self) -> bool:
        """Whether as many calls hang as may."""
        return self._hanging >= MOST_ABANDONED

    def wait_for_room(self, seconds: float) -> bool:
        """Return True once a call can be made."""
        with self._room:
            return self._room.wait_for(lambda: not self.is_exhausted, timeout=seconds)

    def each(
        self, function: Callable[[Any], object], calls: Sequence[Call], go_on: Callable[[], bool] = lambda: True
    ) -> Answer:
        """Call ``function`` for each; after a failure leave later ones of its run out; stop where told."""
        whole = Answer()
        failed: frozenset[str] = frozenset()
        while whole.reached < len(calls) and not self.is_exhausted and go_on():
            start = whole.reached
            part = self._round(function, calls[start:], go_on, failed)
            whole.failures.update({start + number: error for number, error in part.failures.items()})
            whole.left_out.update(start + number for number in part.left_out)
            whole.final.update(start + number for number in part.final)
            whole.reached += part.reached
            failed = frozenset(run for number in whole.failures if (run := calls[number].run_id) is not None)
        return whole

    def stop(self) -> None:
        """Let the thread end after the call at hand."""
        if self._rounds is not None:
            self._rounds.put(None)
            self._rounds = None

    def _round(
        self,
        function: Callable[[Any], object],
        calls: Sequence[Call],
        go_on: Callable[[], bool],
        failed_runs: frozenset[str],
    ) -> Answer:
        made = _Round(function, calls, go_on, failed_runs)
        if self._rounds is None:
            self._rounds = SimpleQueue()
            Thread(target=self._run, args=[self._rounds], name=f"wfe-{self._name}", daemon=True).start()
        self._rounds.put(made)
        if made.wait(self._timeout):
            return made.answer
        return self._abandon(made)

    def _abandon(self, made: _Round) -> Answer:
        answer = made.answer
        error = StepError(error_class="TimeoutError", message=f"took longer than {self._timeout:g} s")
        answer.failures[answer.reached] = error
        answer.reached += 1
        with self._room:
            self._hanging += 1
        logger.warning("subscriber %s: a call %s; it is left behind (%d)", self._name, error.message, self._hanging)
        self._rounds = None
        return answer

    def _run(self, rounds: "SimpleQueue[_Round | None]") -> None:
        while (made := rounds.get()) is not None:
            made.work()
            if made.is_abandoned:
                break
        else:
            return
        with self._room:
            self._hanging -= 1
            self._room.notify_all()


def as_error(error: BaseException) -> StepError:
    """Return what is kept of an exception; PostgreSQL's text has no NUL and no half of a surrogate pair."""
    message = _text(error).replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    bounded = message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"
    return StepError(error_class=type(error).__name__, message=bounded)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # whatever a subscriber's exception does, the call has failed
        return f"<{type(error).__name__} that cannot be printed>"
