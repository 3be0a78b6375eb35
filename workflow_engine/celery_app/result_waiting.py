"""How ``AsyncResult.get()`` and ``GroupResult.get()`` wait: by polling, a whole group at once."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from threading import Event, local
from time import monotonic
from typing import Any, Final

from celery.backends import base
from celery.exceptions import BackendGetMetaError
from celery.exceptions import TimeoutError as ResultTimeout
from celery.result import ResultSet
from celery.states import PROPAGATE_STATES
from celery.utils.log import get_logger

logger = get_logger(__name__)

_FIRST_NAP: Final = 0.005
_NAP_GROWTH: Final = 1.25  # so a result is seen late by at most a quarter of the time it took
_LONGEST_NAP: Final = 0.5


class Glance(local):
    """What one query has just told a thread about some tasks."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.metas: dict[str, dict[str, Any]] = {}


class PollingBackend(base.BaseBackend):  # type: ignore[misc]  # Celery has no types
    """Waits for results that another process stores.

    NOTIFY would tell sooner, but takes a database-wide lock at each commit: every worker would pay for it.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.glance = Glance()

    def find_metas(self, task_ids: Iterable[str], *, ready: bool = False) -> dict[str, dict[str, Any]]:
        """Return what is stored of these tasks, in one query; with ``ready``, only of finished ones."""
        raise NotImplementedError

    def wait_for_pending(
        self, result: Any, *arguments: Any, on_interval: Callable[[], Any] | None = None, **options: Any
    ) -> Any:
        """Wait for one result; its parents, whole headers of chords among them, are looked at in one query a round."""
        look = on_interval and partial(self._look_around, result, on_interval)
        return super().wait_for_pending(result, *arguments, on_interval=look, **options)

    def _look_around(self, result: Any, on_interval: Callable[[], Any]) -> None:
        """Let Celery ask for each parent, and answer from one query."""
        parents = _unready_parents(result)
        try:
            metas = self.find_metas(parents) if parents else {}
        except BackendGetMetaError as error:
            logger.warning("Still waiting for task %s: %r", result.id, error.__cause__)
            return
        self.glance.ids, self.glance.metas = parents, metas
        try:
            on_interval()
        finally:
            self.glance.ids, self.glance.metas = set(), {}

    def wait_for(
        self,
        task_id: str,
        timeout: float | None = None,
        interval: float | None = _LONGEST_NAP,
        no_ack: bool = True,
        on_interval: Callable[[], Any] | None = None,
    ) -> Any:
        """Return a task's meta once it is ready; an outage of the database counts as not ready.

        Raises:
            celery.exceptions.TimeoutError: it was not ready in time.
        """
        self._ensure_not_eager()
        metas = self.get_many([task_id], timeout, interval, no_ack, on_interval=on_interval)
        _, meta = next(metas)
        if meta["status"] in PROPAGATE_STATES and on_interval is not None:
            on_interval()  # raises what a parent raised, which is why this one failed
        return meta

    def get_many(
        self,
        task_ids: Iterable[str],
        timeout: float | None = None,
        interval: float | None = _LONGEST_NAP,
        no_ack: bool = True,
        on_message: Callable[[dict[str, Any]], Any] | None = None,
        on_interval: Callable[[], Any] | None = None,
        max_iterations: int | None = None,
        **_: Any,
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield each task's id and meta as they become ready; one query a round, whatever their number."""
        waiting = {str(task_id) for task_id in task_ids}
        for number, nap in enumerate(_naps(timeout, interval), start=1):
            for task_id, meta in self._ready(waiting).items():
                waiting.discard(task_id)
                if on_message is not None:
                    on_message(meta)
                yield task_id, meta
            if not waiting or (max_iterations and number >= max_iterations):
                return
            if on_interval is not None:
                on_interval()
            if nap <= 0:
                raise ResultTimeout(f"Operation timed out ({timeout})")
            Event().wait(nap)

    def iter_native(
        self,
        result: ResultSet,
        timeout: float | None = None,
        interval: float | None = _LONGEST_NAP,
        no_ack: bool = True,
        on_message: Callable[[dict[str, Any]], Any] | None = None,
        on_interval: Callable[[], Any] | None = None,
    ) -> Iterator[tuple[str, Any]]:
        """Yield a group's members as they become ready, and groups inside it once all is ready."""
        self._ensure_not_eager()
        members = [member for member in result.results if not isinstance(member, ResultSet)]
        groups = [member for member in result.results if isinstance(member, ResultSet)]
        own = {member.id for member in members}
        inner = {leaf.id: leaf for group in groups for leaf in _leaves(group)}
        metas = self.get_many(own | inner.keys(), timeout, interval, no_ack, on_message, on_interval)
        for task_id, meta in metas:
            if task_id in inner:
                inner[task_id]._maybe_set_cache(dict(meta))  # noqa: SLF001  # as Celery's own backends do
            if task_id in own:
                yield task_id, meta
        for group in groups:
            yield group.id, group.results

    def _ready(self, waiting: set[str]) -> dict[str, dict[str, Any]]:
        cached = {task_id: self._cache[task_id] for task_id in waiting if task_id in self._cache}
        if cached:
            return cached
        try:
            found = self.find_metas(waiting, ready=True)
        except BackendGetMetaError as error:
            logger.warning("Still waiting for %s results: %r", len(waiting), error.__cause__)
            return {}
        for task_id, meta in found.items():
            self._cache[task_id] = meta
        return found


def _naps(timeout: float | None, interval: float | None) -> Iterator[float]:
    """Yield how long to sleep before the next look; zero or less once ``timeout`` is over."""
    longest = _LONGEST_NAP if interval is None else max(interval, 0.001)
    deadline = None if timeout is None else monotonic() + timeout
    nap = min(_FIRST_NAP, longest)
    while True:
        yield nap if deadline is None else min(nap, deadline - monotonic())
        nap = min(nap * _NAP_GROWTH, longest)


def _unready_parents(result: Any) -> set[str]:
    """Return the ids of the tasks before this one that were not ready when last seen."""
    found, parent = set(), result.parent
    while parent is not None:
        leaves = _leaves(parent) if isinstance(parent, ResultSet) else [parent]
        found |= {leaf.id for leaf in leaves if leaf._cache is None}  # noqa: SLF001  # it has no public name
        parent = parent.parent
    return found


def _leaves(group: ResultSet) -> Iterator[Any]:
    for member in group.results:
        if isinstance(member, ResultSet):
            yield from _leaves(member)
        else:
            yield member
