"""What every handler works with."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from workflow_engine.engine.outcome import Told
from workflow_engine.engine.plan_cache import PlanCache
from workflow_engine.ids import RunId
from workflow_engine.model.event_ids import cause_id, event_id
from workflow_engine.model.events import CATALOGUE, Event
from workflow_engine.model.records import EventRecord
from workflow_engine.model.trace_ids import event_traceparent
from workflow_engine.plan.plan import Plan
from workflow_engine.store.event_log import Fact
from workflow_engine.store.transaction import Transaction


@dataclass(frozen=True, slots=True)
class RunEnvelope:
    """What the events of a run have in common."""

    run_id: RunId
    plan: Plan
    correlation_id: str
    traceparent: str | None

    def record(self, occurred_at: datetime, event: Event, cause: str | None) -> EventRecord:
        """Return an event as its subscribers will read it in the log, without reading the log."""
        return EventRecord(
            position=None,
            event_id=event_id(event.name, self.run_id, event.step, event.attempt, occurred_at),
            causation_id=cause_id(cause, self.run_id, occurred_at),
            name=event.name,
            version=CATALOGUE[event.name].schema_version,
            occurred_at=occurred_at,
            namespace=self.plan.namespace,
            workflow=self.plan.workflow,
            workflow_version=self.plan.version,
            run_id=self.run_id,
            step=event.step,
            attempt=event.attempt,
            correlation_id=self.correlation_id,
            traceparent=event_traceparent(self.run_id, self.traceparent, event.step, event.attempt),
            data=json.loads(event.data),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The transaction at hand and the plans it needs."""

    tx: Transaction
    plans: PlanCache
    loss_limit: int
    """How often a step may take its worker with it before it fails."""
    told: Told
    room: Callable[[], int | None]
    """How many ready steps it makes sense to take for sending; None: any number."""
    aging: timedelta = timedelta(0)
    """How long a ready step waits before it is more urgent by a rank; 0: it never is."""
    grace: timedelta = timedelta(seconds=30)
    """How long what runs of a cancelled run may go on, unless the cancel says otherwise."""
    _causes: dict[RunId, str] = field(default_factory=dict)

    def plan(self, plan_id: int) -> Plan:
        """Return a plan by its id."""
        return self.plans.get(plan_id, self.tx)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Undo what is done in it, and forget what it has published, if an error leaves it."""
        told, causes = len(self.told.records), dict(self._causes)
        try:
            with self.tx.savepoint():
                yield
        except BaseException:
            del self.told.records[told:]
            self._causes.clear()
            self._causes.update(causes)
            raise

    def publish(self, run_id: RunId, *events: Event) -> None:
        """Append facts about a run to the event log, in this transaction; its first one led to the others."""
        facts = []
        for event in events:
            facts.append(Fact(run_id=run_id, event=event, cause=self._causes.get(run_id)))
            self._causes.setdefault(run_id, event.as_cause)
        self.append(facts)

    def append(self, facts: Sequence[Fact]) -> None:
        """Append facts, each with a cause of its own or none."""
        if facts:
            self.told.add(self.tx.event_log.append(facts))

    def begin_moment(self) -> None:
        """Let what is published from here on have happened later, and because of nothing before."""
        self.tx.event_log.begin_moment()
        self._causes.clear()

    def publish_notices(self, namespace: str, *events: Event) -> None:
        """Append facts that are about no run."""
        if events:
            self.told.add(self.tx.event_log.append_notices(events, namespace=namespace))

    def tell(
        self, run: RunEnvelope, occurred_at: datetime, events: Callable[[], Iterable[tuple[Event, str | None]]]
    ) -> None:
        """Note what a hot statement has appended to the log by itself, each event with what led to it."""
        self.told.published = True
        if self.told.wanted:
            self.told.add([run.record(occurred_at, event, cause) for event, cause in events()])
