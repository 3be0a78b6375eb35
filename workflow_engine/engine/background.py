"""Background: does after a commit what nobody has to wait for."""

import logging
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from threading import BoundedSemaphore, Lock
from typing import Final

logger = logging.getLogger(__name__)

WAITING: Final = 8
"""Pieces of work that may wait; whoever brings one more waits with it."""


class Background:
    """One thread that does things in their order, made when there is something to do.

    A process that ends in good order does them all first. What is lost with one that is killed must be something that
    others find and do again: a message that was not sent is sent by whoever looks for lost ones.
    """

    def __init__(self, *, waiting: int = WAITING) -> None:
        """Let so many things wait."""
        self._waiting = waiting
        self._lock = Lock()
        self._pid = 0
        self._room = BoundedSemaphore(waiting)
        self._thread: ThreadPoolExecutor | None = None

    def do(self, work: Callable[[], object]) -> None:
        """Do ``work`` soon, in the caller's context; return at once while there is room."""
        context = copy_context()
        with self._lock:
            thread, room = self._here()
        room.acquire()
        try:
            done: Future[object] = thread.submit(context.run, work)
        except RuntimeError:  # the interpreter is shutting down, and takes nothing more
            room.release()
            context.run(work)
            return
        done.add_done_callback(lambda each: self._finish(each, room))

    def close(self) -> None:
        """Come back when all is done."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is not None and self._pid == os.getpid():
            thread.shutdown()

    def _here(self) -> tuple[ThreadPoolExecutor, BoundedSemaphore]:
        """Return the thread of this process: one made before a fork is the parent's."""
        if self._thread is None or self._pid != os.getpid():
            self._pid = os.getpid()
            self._room = BoundedSemaphore(self._waiting)
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="wfe-background")
        return self._thread, self._room

    @staticmethod
    def _finish(done: "Future[object]", room: BoundedSemaphore) -> None:
        room.release()
        if (error := done.exception()) is not None:
            logger.error("what was left for later went wrong; it is found and done again: %s", error, exc_info=error)
