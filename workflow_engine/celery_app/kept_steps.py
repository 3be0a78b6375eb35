"""KeptSteps: what a worker's main process knows of the steps that its pool goes on with without a message.

Celery's main process knows a task by its message. A kept step has none, so the process that runs it tells: how the one
before it ended and which one begins. The main process makes a request of it, and all that Celery does with requests
works: task events, time limits, ``inspect``, ``revoke``.
"""

import logging
import marshal
import os
import select
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import RLock
from time import time
from typing import TYPE_CHECKING, Any, ClassVar, Final

from celery.bootsteps import StartStopStep

if TYPE_CHECKING:
    from workflow_engine.celery_app.task import StepRequest

logger = logging.getLogger(__name__)

_ATOMIC: Final = select.PIPE_BUF
"""Bytes that a pipe takes whole, whoever else writes to it."""
_HEAD: Final = 4
_CHUNK: Final = 65_536
_LONG: Final = 600
"""Characters of a result, an error or a traceback, where the whole of it is too long."""
_PATIENCE: Final = 30.0
"""Seconds to wait for a main process that does not listen."""

_MOST_EARLY: Final = 1_000
"""Notices kept of tasks of which the pool has not spoken."""
_NAP: Final = 0.05
"""Seconds between two times that the main process listens, where there is much to hear."""

Ending = tuple[str, dict[str, Any]]
"""A task event that says how a step ended, and its fields."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What a pool process tells: the step at hand has ended, and another one, if any, begins."""

    pid: int
    first: str
    """The id of the task that came with a message."""
    at: float
    """Seconds since 1970."""
    ended: Ending | None
    begun: dict[str, Any] | None
    """The headers that the message of the step that begins would have."""


class KeptSteps:
    """Tells from pool process to main process; in pools without processes, both are one."""

    def __init__(self) -> None:
        """Not yet open: until then no step can be kept."""
        self._pid: int | None = None
        self._of_processes = False
        self._reader = self._writer = -1
        self._rest = b""
        self._lock = RLock()
        self._firsts: dict[tuple[int, str], StepRequest] = {}
        self._early = deque[Notice](maxlen=_MOST_EARLY)
        self._count = 0

    def open(self, *, of_processes: bool) -> None:
        """Make the pipe; to be called in the main process before its pool forks, if it does."""
        self._pid = os.getpid()
        self._of_processes = of_processes
        self._reader, self._writer = os.pipe()
        for end in (self._reader, self._writer):
            os.set_blocking(end, False)

    @property
    def is_open(self) -> bool:
        """Whether this process can tell anybody: a process that was not forked cannot."""
        return self._pid is not None

    @property
    def of_processes(self) -> bool:
        """Whether the pool's processes tell, and not the one process itself."""
        return self._of_processes

    @property
    def count(self) -> int:
        """How many have begun, as far as this process knows."""
        return self._count

    def tell(self, first: str, ended: Ending | None, begun: dict[str, Any] | None) -> None:
        """Say how a step ended, and which one begins; ``first`` is the id of the task that came with a message."""
        notice = Notice(os.getpid(), first, time(), ended, begun)
        if notice.pid == self._pid:
            self._take([notice])
            return
        packed = _packed(notice)
        while True:
            with suppress(BlockingIOError):
                os.write(self._writer, packed)
                return
            if not select.select([], [self._writer], [], _PATIENCE)[1]:
                logger.warning("the worker's main process does not listen: it is not told of a step")
                return

    def expect(self, first: "StepRequest") -> None:
        """A process of the pool has the task that came with a message; others may follow it."""
        with self._lock:
            self._firsts.setdefault(self._key(first), first)  # the same message again has nothing that follows
            if self._early:
                early = list(self._early)
                self._early.clear()
                self._take(early)

    def forget(self, first: "StepRequest") -> None:
        """The message is dealt with: nothing follows."""
        self.drain()
        with self._lock:
            key = self._key(first)
            if self._firsts.get(key) is first:
                del self._firsts[key]

    def _key(self, first: "StepRequest") -> tuple[int, str]:
        pid = first.worker_pid if self._of_processes else self._pid
        return pid or 0, first.id

    def drain(self) -> None:
        """Hear everything that was told so far."""
        if self._reader < 0 or os.getpid() != self._pid:
            return
        with self._lock:
            self._take(list(self._read()))

    def listen(self, hub: Any) -> None:
        """Hear of steps as they begin, in a worker's event loop: the first one at once, and then now and then."""

        def hear() -> None:
            hub.remove_reader(self._reader)
            self.drain()
            hub.call_later(_NAP, begin)

        def begin() -> None:
            hub.add_reader(self._reader, hear)

        begin()

    def _read(self) -> Iterator[Notice]:
        chunk = b"more"
        while chunk:
            try:
                chunk = os.read(self._reader, _CHUNK)
            except BlockingIOError:
                return
            self._rest += chunk
            while (end := _end_of_notice(self._rest)) is not None:
                yield Notice(*marshal.loads(self._rest[_HEAD:end]))  # noqa: S302  from our own processes only
                self._rest = self._rest[end:]

    def _take(self, notices: Iterable[Notice]) -> None:
        """Tell of steps that have ended meanwhile; make a request of each that still runs."""
        with self._lock:
            for notice in notices:
                first = self._firsts.get((notice.pid, notice.first))
                if first is None:  # the pool has not said yet that it has the task
                    self._early.append(notice)
                    continue
                first.go_on(notice)
                self._count += notice.begun is not None
            for first in self._firsts.values():
                first.keep_pending()


class ListenToPool(StartStopStep):  # type: ignore[misc]  # Celery has no types
    """A worker bootstep: the main process hears of kept steps as they begin."""

    requires: ClassVar = {"celery.worker.components:Pool"}
    kept_steps: KeptSteps

    def register_with_event_loop(self, worker: Any, hub: Any) -> None:
        """Listen with the worker's event loop; pools without processes need none."""
        del worker
        if self.kept_steps.is_open:
            self.kept_steps.listen(hub)


def _end_of_notice(read: bytes) -> int | None:
    """Return where the first notice in ``read`` ends; None if it is not there whole."""
    end = _HEAD + int.from_bytes(read[:_HEAD], "little")
    return end if len(read) >= max(end, _HEAD + 1) else None


def _packed(notice: Notice) -> bytes:
    """Return a notice as bytes that a pipe takes whole."""
    body = _dumped(notice)
    if len(body) + _HEAD > _ATOMIC and notice.ended is not None:
        name, fields = notice.ended
        short = {key: value[:_LONG] if isinstance(value, str) else value for key, value in fields.items()}
        body = _dumped(replace(notice, ended=(name, short)))
        if len(body) + _HEAD > _ATOMIC:
            body = _dumped(replace(notice, ended=(name, {})))
    return len(body).to_bytes(_HEAD, "little") + body


def _dumped(notice: Notice) -> bytes:
    return marshal.dumps((notice.pid, notice.first, notice.at, notice.ended, notice.begun))
