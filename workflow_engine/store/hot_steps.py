"""Claim and complete steps: the two statements of the hot path."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from functools import cache
from typing import Any, Final

from psycopg import Connection

from workflow_engine.ids import RunId
from workflow_engine.model.commands import ClaimStep, FollowStep, StepAttempt
from workflow_engine.model.events import Event
from workflow_engine.model.records import AttemptTimes, Claim, ClaimedStep, Completion, FollowingStep, RunTimes
from workflow_engine.model.step import StepState
from workflow_engine.store.arrays import integer_array
from workflow_engine.store.database import hot_cursor
from workflow_engine.store.statements import statement

_FIND_FOLLOWED = statement("find_followed")
_FIND_RESULTS = statement("find_results")
_CHILDREN: Final = (
    frozenset({"sink"}),
    frozenset({"children", "sent", "only"}),
    frozenset({"children", "sent", "several"}),
)
"""The parts of a completion's statement, for a step that nobody waits for, for one child, and for several."""
_KEEP, _TAKE, _SENT = frozenset({"keep"}), frozenset({"take"}), frozenset({"sent"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedWrite:
    """What a planned step's statements say that is the same in every run: arrays and payloads as PostgreSQL's text.

    The payloads are those that may be published; which of them become facts, the statements decide.
    """

    step: str
    is_root: bool
    is_sink: bool
    children_at_most: int
    """0, 1, or 2, which stands for any number of them."""
    parents: str
    children: Mapping[str, Any]
    """What ``complete_step.sql`` is told of the only one, or of all of them."""
    run_started: str


class Settle(IntEnum):
    """What a step's row says about its run, so that who ends the step need not read the run."""

    PAUSED = -1
    """The run is paused: what a step sets free waits, and whoever ends one asks whether the run is over."""
    NO = 0
    """The run goes well: its last sink finishes it."""
    ASK = 1
    """A step failed and the rest goes on: whoever ends a step asks whether the run is over."""
    ENDING = 2
    """The run fails or is cancelled as soon as nothing of it runs: no attempt is tried again."""
    STOPPING = 3
    """Nor may those that run go on: the run has timed out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Success:
    """A step's result, and of which attempt."""

    of: StepAttempt
    result: str
    """JSON text."""
    was: str = StepState.RUNNING.value
    """Where the attempt is; elsewhere it changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """The step with which a worker goes on, if it is to be had once another one is completed."""

    position: int
    is_child: bool
    """Whether the completion may set it free; else it waits, dispatched, for the worker that completes."""
    worker_id: str
    step: str
    started: Event
    cause: str
    unknown: tuple[int, ...]
    """Those of its parents whose results the worker does not know."""


class HotSteps:
    """The ``steps`` table, as workers use it for every step."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Work on the given connection."""
        self._connection = connection

    def claim(self, command: ClaimStep, planned: PlannedWrite, started: Event) -> ClaimedStep | None:
        """Give a dispatched attempt to a worker; None unless exactly this attempt was waiting."""
        row = (
            hot_cursor(self._connection)
            .execute(
                claim_statement(root=planned.is_root),
                {
                    "run_id": command.run_id,
                    "position": command.position,
                    "attempt": command.attempt,
                    "worker_id": command.worker_id,
                    "parents": planned.parents,
                    "step": planned.step,
                    "step_started": started.data,
                    "run_started": planned.run_started,
                    "cause": started.as_cause,
                },
                prepare=True,
            )
            .fetchone()
        )
        if row is None:
            return None
        results = _by_position(getattr(row, "results", None))
        return ClaimedStep(input=row.input, results=results, claim=as_claim(row))

    def complete(
        self,
        success: Success,
        planned: PlannedWrite,
        completed: Event,
        succeeded: Event | None,
        *,
        settle: Settle = Settle.NO,
        following: Following | None = None,
    ) -> Completion | None:
        """Record a success and dispatch the bodies it completes; None if the attempt is not where it was.

        ``succeeded`` is the event of the run's end, in case the step is the last sink. ``settle`` is what the step's
        row says. ``following`` is claimed too, if it can be.
        """
        row = (
            hot_cursor(self._connection)
            .execute(
                completion_statement(
                    planned.children_at_most,
                    None if following is None else following.is_child,
                    hold=settle is Settle.PAUSED,
                    idle=success.was != StepState.RUNNING,
                ),
                {
                    **attempt_key(success.of),
                    "was": success.was,
                    "result": success.result,
                    "settle": settle is not Settle.NO,
                    "hold": settle is Settle.PAUSED,
                    **planned.children,
                    "step": planned.step,
                    "completed": completed.data,
                    "completed_name": completed.name,
                    "cause": completed.as_cause,
                    "run_succeeded": None if succeeded is None else succeeded.data,
                    **({} if following is None else _as_parameters(following)),
                },
                prepare=True,
            )
            .fetchone()
        )
        if row is None:
            return None
        return Completion(
            dispatched=getattr(row, "dispatched", ()),
            run_finished=getattr(row, "run_finished", False),
            run_priority=getattr(row, "run_priority", None),
            occurred_at=row.finished_at,
            following=self._followed(success.of.run_id, following, row),
        )

    def _followed(self, run_id: RunId, following: Following | None, row: Any) -> FollowingStep | None:
        since = None if following is None else row.kept_since if following.is_child else row.taken_since
        if following is None or since is None:
            return None
        followed = _following_step(following.position, since, row)
        if not (following.is_child and following.unknown):
            return followed
        # A parent may have been completed while that statement waited for the child: it did not see its result.
        asked = {"run_id": run_id, "positions": list(following.unknown)}
        (read,) = self._connection.execute(_FIND_RESULTS, asked).fetchall()
        return replace(followed, results=_by_position(read.results))

    def find_followed(self, command: StepAttempt, follow: FollowStep) -> FollowingStep | None:
        """Return what was claimed together with a completion, for the worker to which nobody said so."""
        asked = {
            **attempt_key(command),
            "follow": follow.position,
            "worker_id": follow.worker_id,
            "parents": list(follow.unknown),
        }
        row = self._connection.execute(_FIND_FOLLOWED, asked).fetchone()
        return None if row is None else _following_step(follow.position, row.next_dispatched_at, row)


@cache
def claim_statement(*, root: bool) -> bytes:
    """Return the statement that claims a step which nobody sets free, or another one."""
    return statement("claim_step", frozenset({"root" if root else "parents"}))


@cache
def completion_statement(children: int, follows_child: bool | None, *, hold: bool = False, idle: bool = False) -> bytes:
    """Return the statement that completes a step with so many children, and claims a child, another step, or none.

    With ``hold`` its children wait for their run to be resumed; ``idle`` is a step that was not running.
    """
    parts = _CHILDREN[children]
    if hold:
        parts |= {"hold"}
    if idle:
        parts |= {"idle"}
    if follows_child:
        parts = (parts - _SENT if children == 1 else parts) | _KEEP  # an only child that is kept is not sent
    elif follows_child is not None:
        parts |= _TAKE
    return statement("complete_step", parts)


def as_claim(row: Any) -> Claim:
    """Return what a row says of a claim."""
    return Claim(
        attempt_times=attempt_times(row),
        run_times=RunTimes(
            submitted_at=row.run_submitted_at, started_at=row.run_started_at, retried_at=row.run_retried_at
        ),
        correlation_id=row.correlation_id,
        traceparent=row.traceparent,
        run_priority=row.run_priority,
        run_begun=getattr(row, "run_begun", False),
        forgiven=row.forgiven,
    )


def attempt_key(command: StepAttempt) -> dict[str, Any]:
    return {"run_id": command.run_id, "position": command.position, "attempt": command.attempt}


def _as_parameters(following: Following) -> dict[str, Any]:
    return {
        "keep" if following.is_child else "take": following.position,
        "worker_id": following.worker_id,
        "next_step": following.step,
        "next_started": following.started.data,
        "next_cause": following.cause,
        "next_parents": integer_array(following.unknown),
    }


def _following_step(position: int, since: datetime, row: Any) -> FollowingStep:
    return FollowingStep(
        position=position,
        times=AttemptTimes(dispatched_at=since, started_at=row.finished_at),
        results=_by_position(getattr(row, "next_results", None)),
    )


def attempt_times(row: Any) -> AttemptTimes:
    return AttemptTimes(dispatched_at=row.dispatched_at, started_at=row.started_at)


def _by_position(results: Mapping[str, Any] | None) -> dict[int, Any]:
    """Return results by position, as JSON has them by its text."""
    return {int(position): result for position, result in (results or {}).items()}
