"""Starting a crashed part again: a few times, ever later, and saying so."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from workflow_engine.embedded.folders import tail
from workflow_engine.errors import WorkflowEngineError

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 10.0
RESTARTS_ALLOWED = 5
WINDOW_SECONDS = 60.0


class Part(Protocol):
    """Something that can be started again after it ended."""

    @property
    def ending(self) -> str:
        """How it ended, in words."""

    def is_running(self) -> bool:
        """Tell whether it runs."""

    def start(self) -> object:
        """Start it."""


class Restarts:
    """How often something was started again lately, hence how long to wait this time."""

    def __init__(self) -> None:
        self._crashes: list[float] = []

    def delay_after_crash(self, now: float) -> float | None:
        """Return the seconds to wait, or ``None`` after too many crashes in the last minute."""
        self._crashes = [crash for crash in self._crashes if now - crash < WINDOW_SECONDS]
        if len(self._crashes) >= RESTARTS_ALLOWED:
            return None
        delay = FIRST_DELAY_SECONDS * 2.0 ** len(self._crashes)
        self._crashes.append(now)
        return min(delay, LONGEST_DELAY_SECONDS)


class Keeper:
    """Keeps one part running; ``check`` is called often and returns at once unless there is work."""

    def __init__(self, name: str, part: Part, say: Callable[[str], None], *, log: Path) -> None:
        self.name = name
        self.gave_up = False
        self._part = part
        self._say = say
        self._log = log
        self._restarts = Restarts()
        self._due: float | None = None

    def check(self) -> None:
        """Notice a crash; start the part again when its time has come."""
        if self.gave_up or self._part.is_running():
            return
        now = time.monotonic()
        if self._due is None:
            self._plan(now)
        elif now >= self._due:
            self._due = None
            self._start()

    def _plan(self, now: float) -> None:
        delay = self._restarts.delay_after_crash(now)
        if delay is None:
            self.gave_up = True
            last_words = tail(self._log, limit=500).rpartition("\n")[2]
            self._say(f"{self.name} keeps ending ({self._part.ending}: {last_words}) and is left stopped")
            return
        self._due = now + delay
        self._say(f"{self.name} ended ({self._part.ending}); starting it again in {delay:g} s; see {self._log}")

    def _start(self) -> None:
        try:
            self._part.start()
        except (WorkflowEngineError, OSError) as error:
            self._say(f"{self.name} does not start: {error}")
        else:
            self._say(f"{self.name} was started again")
