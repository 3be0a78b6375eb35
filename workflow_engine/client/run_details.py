"""What is told of one run for people: its steps page by page, its graph, its timeline, its events."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from workflow_engine.engine.processor import Processor
from workflow_engine.errors import RunNotFound
from workflow_engine.model.records import EventRecord, RunRecord, StepRecord
from workflow_engine.model.step import StepState
from workflow_engine.store.run_details import AttemptFact
from workflow_engine.store.transaction import Store

MOST_ATTEMPTS: Final = 100
"""Attempts of a step that its timeline shows."""
_MOST_FACTS: Final = 10_000
_ENDS: Final[Mapping[str, StepState]] = {
    "step.suspended": StepState.SUSPENDED,
    "step.completed": StepState.SUCCEEDED,
    "step.retrying": StepState.FAILED,
    "step.lost": StepState.FAILED,
    "step.failed": StepState.FAILED,
    "step.cancelled": StepState.CANCELLED,
}
"""How an attempt ended, by the event that tells so."""
_LOST: Final = "WorkerLost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of a step."""

    attempt: int
    state: StepState
    """How it ended; a state that is not final while it has not."""
    dispatched_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimeline:
    """When a step was tried."""

    record: StepRecord
    attempts: Sequence[Attempt]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A step in a run's graph."""

    name: str
    state: StepState
    attempt: int
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunGraph:
    """A run's steps, and which waits for which."""

    run: RunRecord
    nodes: Sequence[Node]
    """In topological order."""
    edges: Sequence[tuple[int, int]]
    """From a step to one that waits for it, by their places among the nodes."""


class RunDetails:
    """Details of one run: ``client.details(run_id)``; the number of queries does not depend on the run's size."""

    def __init__(self, run: RunRecord, store: Store, processor: Processor) -> None:
        """Ask about ``run``."""
        self.run = run
        self._store = store
        self._processor = processor

    def result(self) -> dict[str, Any]:
        """Return the results of the steps nobody waits for, by name, as far as they have succeeded."""
        with self._store.single() as tx:
            plan_id = tx.views.plan_of(self.run.id)
        if plan_id is None:
            raise RunNotFound(self.run.id)
        sinks = self._processor.plan(plan_id).sinks
        with self._store.single() as tx:
            return tx.views.results_of(self.run.id, sinks)

    def steps(self, limit: int, *, after: int = -1) -> list[StepRecord]:
        """Return up to ``limit`` steps behind a position, in topological order."""
        with self._store.single() as tx:
            return tx.run_details.page_steps(self.run.id, limit, after=after)

    def events(self, limit: int, *, after: int = 0) -> list[EventRecord]:
        """Return up to ``limit`` of the run's events behind a place of the log, oldest first."""
        with self._store.single() as tx:
            return tx.views.events_of(self.run.id, after, limit)

    def graph(self) -> RunGraph:
        """Return the run's graph, with the states of its steps."""
        with self._store.single() as tx:
            plan_id = tx.views.plan_of(self.run.id)
            marks = tx.run_details.marks(self.run.id)
        if plan_id is None:
            raise RunNotFound(self.run.id)
        plan = self._processor.plan(plan_id)
        nodes = [
            Node(
                name=plan[mark.position].name,
                state=mark.state,
                attempt=mark.attempt,
                started_at=mark.started_at,
                finished_at=mark.finished_at,
            )
            for mark in marks
        ]
        edges = [(parent, step.position) for step in plan for parent in step.parents]
        return RunGraph(run=self.run, nodes=nodes, edges=edges)

    def timeline(self, limit: int, *, after: int = -1) -> list[StepTimeline]:
        """Return up to ``limit`` steps behind a position, each with its attempts: the last hundred, oldest first."""
        records = self.steps(limit, after=after)
        retried = [record.name for record in records if record.attempt > 1]
        tried: Mapping[str, Sequence[Attempt]] = {}
        if retried:
            with self._store.single() as tx:
                tried = _attempts(tx.run_details.attempts(self.run.id, retried, _MOST_FACTS))
        return [StepTimeline(record=each, attempts=tried.get(each.name) or _only_attempt(each)) for each in records]


def _only_attempt(record: StepRecord) -> Sequence[Attempt]:
    """Return the attempt that a step's own row tells of."""
    if not record.attempt:
        return ()
    error = record.error
    attempt = Attempt(
        attempt=record.attempt,
        state=record.state,
        dispatched_at=record.dispatched_at,
        started_at=record.started_at,
        finished_at=record.finished_at,
        error=None if error is None else _error(error.get("error_class"), error.get("message")),
    )
    return (attempt,)


def _attempts(facts: Iterable[AttemptFact]) -> Mapping[str, Sequence[Attempt]]:
    """Return the attempts that events tell of, by step."""
    found: dict[str, dict[int, Attempt]] = defaultdict(dict)
    for fact in facts:
        known = found[fact.step].get(fact.attempt)
        found[fact.step][fact.attempt] = _after(
            fact, known or Attempt(attempt=fact.attempt, state=StepState.DISPATCHED)
        )
    return {step: list(attempts.values())[-MOST_ATTEMPTS:] for step, attempts in found.items()}


def _after(fact: AttemptFact, known: Attempt) -> Attempt:
    """Return what is known of an attempt after one more event about it."""
    if fact.name == "step.dispatched":
        return replace(known, dispatched_at=fact.occurred_at)
    if fact.name == "step.started":
        return replace(known, state=StepState.RUNNING, started_at=fact.occurred_at)
    state = _ENDS[fact.name]
    if state is StepState.SUSPENDED:
        return replace(known, state=state)
    error_class = _LOST if fact.name == "step.lost" else fact.error_class
    return replace(known, state=state, finished_at=fact.occurred_at, error=_error(error_class, fact.message))


def _error(error_class: str | None, message: str | None) -> str | None:
    said = [part for part in (error_class, message) if part]
    return ": ".join(said) or None
