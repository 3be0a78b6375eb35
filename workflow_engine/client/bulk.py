"""The same done to many runs: each by a command of its own, in a transaction of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from workflow_engine.client.handle import RunHandle
from workflow_engine.client.lifecycle import UNFINISHED
from workflow_engine.client.run_lists import RunLists
from workflow_engine.engine.handlers.deleting import DeletedRuns
from workflow_engine.engine.processor import Processor
from workflow_engine.errors import InvalidInput, NotDead, RunEnded, RunNotFound, WrongState
from workflow_engine.ids import RunId
from workflow_engine.model.commands import DeleteRuns
from workflow_engine.model.pages import check_limit
from workflow_engine.model.run import FINAL_RUN_STATES, RunState
from workflow_engine.model.run_changes import run_changes
from workflow_engine.model.run_filter import RunOrder, run_filter
from workflow_engine.model.run_options import cancel_options

_GOING: Final = (RunState.PENDING, RunState.RUNNING)
_REFUSALS: Final = (RunEnded, WrongState, NotDead, RunNotFound)
_PAGE: Final = 1_000
_TOGETHER: Final = 100
"""Runs that are deleted in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRun:
    """A run of a bulk with which it could not be done."""

    id: RunId
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneInBulk:
    """What came of a bulk."""

    done: Sequence[RunId]
    """Those that were changed; of a dry run those that would be tried."""
    refused: Sequence[RefusedRun]
    more: bool
    """Whether more runs fit than were tried: ask again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """The runs that a bulk is about."""

    ids: Sequence[RunId]
    more: bool
    is_dry: bool


class RunsInBulk:
    """Cancel, pause, resume, retry, update or delete the runs of a namespace that fit a filter, the oldest first.

    Each takes the fields of ``client.page_runs`` as the filter, which must say something; ``reason`` and ``actor``,
    kept with each; ``limit``, how many runs at most (1 to 1,000); and ``dry_run``, to be told which it would be. States
    that are not named are those of which it can be done. A run that cannot be changed, because somebody was faster, is
    refused with the reason and the rest is done.

    Raises:
        InvalidInput: the filter says nothing, or an argument is of the wrong form; nothing is changed.
    """

    def __init__(self, lists: RunLists, processor: Processor, handle: Callable[[RunId], RunHandle]) -> None:
        """Find runs in ``lists`` and change each by its handle."""
        self._lists = lists
        self._processor = processor
        self._handle = handle

    def cancel(self, *, reason: str | None = None, actor: str | None = None, **wanted: Any) -> DoneInBulk:
        """Cancel the runs that fit."""
        cancel_options(reason, actor)
        return self._each(lambda run: run.cancel(reason, actor=actor), (*_GOING, RunState.PAUSED), wanted)

    def pause(self, *, reason: str | None = None, actor: str | None = None, **wanted: Any) -> DoneInBulk:
        """Pause the runs that fit."""
        cancel_options(reason, actor)
        return self._each(lambda run: run.pause(reason, actor=actor), _GOING, wanted)

    def resume(self, *, reason: str | None = None, actor: str | None = None, **wanted: Any) -> DoneInBulk:
        """Resume the runs that fit."""
        cancel_options(reason, actor)
        return self._each(lambda run: run.resume(reason, actor=actor), (RunState.PAUSED,), wanted)

    def retry(self, *, reason: str | None = None, actor: str | None = None, **wanted: Any) -> DoneInBulk:
        """Retry what has failed of the runs that fit."""
        cancel_options(reason, actor)
        return self._each(lambda run: bool(run.retry(reason=reason, actor=actor).requeued), (RunState.FAILED,), wanted)

    def update(
        self, changes: Mapping[str, Any], *, reason: str | None = None, actor: str | None = None, **wanted: Any
    ) -> DoneInBulk:
        """Say something else about the runs that fit; ``changes`` as for ``RunHandle.update``. A reason is not kept."""
        cancel_options(reason, actor)
        run_changes(changes)
        states = (*_GOING, RunState.PAUSED, RunState.CANCELLING)
        return self._each(lambda run: bool(run.update(actor=actor, **changes)), states, wanted)

    def delete(self, *, reason: str | None = None, actor: str | None = None, **wanted: Any) -> DoneInBulk:
        """Forget the runs that fit and have ended, 100 in a transaction."""
        said = cancel_options(reason, actor)
        found = self._found(tuple(FINAL_RUN_STATES), wanted)
        if found.is_dry:
            return DoneInBulk(done=found.ids, refused=(), more=found.more)
        done: list[RunId] = []
        refused: list[RefusedRun] = []
        for begin in range(0, len(found.ids), _TOGETHER):
            ids = found.ids[begin : begin + _TOGETHER]
            deleted: DeletedRuns = self._processor.execute(
                DeleteRuns(run_ids=ids, reason=said.reason, actor=said.actor)
            )
            done += deleted.deleted
            refused += [
                RefusedRun(id=run_id, why=str(WrongState(f"run {run_id}", state, UNFINISHED)))
                for run_id, state in deleted.unfinished.items()
            ]
        return DoneInBulk(done=done, refused=refused, more=found.more)

    def _each(self, act: Callable[[RunHandle], bool], states: Sequence[RunState], wanted: dict[str, Any]) -> DoneInBulk:
        found = self._found(states, wanted)
        if found.is_dry:
            return DoneInBulk(done=found.ids, refused=(), more=found.more)
        done: list[RunId] = []
        refused: list[RefusedRun] = []
        for run_id in found.ids:
            try:
                changed = act(self._handle(run_id))
            except _REFUSALS as error:
                refused.append(RefusedRun(id=run_id, why=str(error)))
            else:
                done += [run_id] if changed else []
        return DoneInBulk(done=done, refused=refused, more=found.more)

    def _found(self, states: Sequence[RunState], wanted: dict[str, Any]) -> "_Found":
        limit, dry_run = wanted.pop("limit", _PAGE), wanted.pop("dry_run", False)
        check_limit(limit)
        if not run_filter(**wanted).said:
            raise InvalidInput("filter", "says nothing: name at least one thing that the runs have in common")
        ids, more = self._ids(limit, {**wanted, "states": wanted.get("states") or states})
        return _Found(ids=ids, more=more, is_dry=dry_run)

    def _ids(self, limit: int, wanted: dict[str, Any]) -> tuple[list[RunId], bool]:
        ids: list[RunId] = []
        cursor = None
        while True:
            page = self._lists.page(limit=limit - len(ids), cursor=cursor, order=RunOrder.OLDEST, **wanted)
            ids += [run.id for run in page.items]
            cursor = page.next
            if cursor is None or len(ids) == limit:
                return ids, cursor is not None
