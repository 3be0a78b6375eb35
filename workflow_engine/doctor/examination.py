"""Look at one installation: ask whoever answers, and judge what they say."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from celery import Celery

from workflow_engine.bootstrap.engine import Engine
from workflow_engine.celery_app.app import create_app
from workflow_engine.celery_app.broker_facts import facts_of_broker
from workflow_engine.config import Settings
from workflow_engine.doctor.broker import on_broker, on_use
from workflow_engine.doctor.finding import Finding, failing, fine, warning
from workflow_engine.doctor.processes import (
    Heard,
    Staff,
    on_clocks,
    on_coordinator,
    on_queues,
    on_relay,
    on_releases,
    on_versions,
    on_workers,
)
from workflow_engine.doctor.reaching import on_api, on_flower
from workflow_engine.doctor.server import on_connections, on_schema, on_server
from workflow_engine.doctor.work import GRACE, on_dead_steps, on_ready, on_stale, on_subscribers, on_timers
from workflow_engine.engine.leader import LEASE, ROLE
from workflow_engine.errors import BrokerUnavailable, DatabaseUnavailable, WorkflowEngineError
from workflow_engine.model.step import StepState
from workflow_engine.release import release
from workflow_engine.store import migration
from workflow_engine.store.database import Database
from workflow_engine.store.diagnosis import OverdueTimers, ProcessFacts, ServerFacts, VersionInUse
from workflow_engine.store.gauges import Backlog
from workflow_engine.store.transaction import Store, Transaction

_LONGEST: Final = timedelta(seconds=3)
"""What a statement may take."""
_SHOWN: Final = 5
_NOWHERE: Final = "postgresql://nobody@localhost/none"
"""An app must have a result backend, and asking the broker needs none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answers:
    """What the database said, about one moment."""

    server: ServerFacts
    staff: Staff
    leader: ProcessFacts | None
    relays: Sequence[ProcessFacts]
    backlog: Backlog
    versions: Sequence[VersionInUse]
    overdue: OverdueTimers
    longest_running: float | None


class Examination:
    """Looks at the database, the broker and all that is known of the processes, each as far as it answers."""

    def __init__(self, settings: Settings, *, app: Celery | None = None, api_url: str | None = None) -> None:
        """Look at what ``settings`` name; at ``app`` where steps run on somebody's own Celery app."""
        self._settings = settings
        self._api_url = api_url
        self._app = app or create_app(settings.broker_url or "", settings.database_url or _NOWHERE, settings.queue)
        self._engine = Engine(
            settings.model_copy(update={"workflows": ()}), app=self._app, application_name="wfe doctor"
        )
        self._longest_running: float | None = None

    def findings(self) -> Iterator[Finding]:
        """Yield what is found, as it is found; whoever does not answer costs a few seconds."""
        yield from self._guarded("workflows", self._on_code)
        yield from self._on_database()
        yield from self._guarded("broker", self._on_broker)
        yield from on_flower(self._settings.flower_url)
        yield from on_api(self._api_url)

    def close(self) -> None:
        """Give back what was opened."""
        if self._settings.database_url is not None:
            self._engine.close()

    def _on_code(self) -> Iterator[Finding]:
        engine = Engine(self._settings, app=self._app)
        number = len(engine.registry)
        yield fine("workflows", f"{number} {'workflow is' if number == 1 else 'workflows are'} loaded here.")
        for sentence in engine.unknown_workflows():
            yield warning("subscribers", f"{sentence}.", "Correct the name in WFE_SUBSCRIBERS_FILE.")

    def _on_database(self) -> Iterator[Finding]:
        if self._settings.database_url is None:
            yield failing("database", "WFE_DATABASE_URL is not set.", "Point it at a PostgreSQL.")
            return
        database = Database(self._settings.database_url, max_connections=2, application_name="wfe doctor")
        try:
            yield from self._on_answering(database)
        except WorkflowEngineError as error:
            yield failing(
                "database",
                _sentence(error),
                "Start PostgreSQL, or correct WFE_DATABASE_URL. Workers, runs and the rest are not known without it.",
            )
        finally:
            database.close()

    def _on_answering(self, database: Database) -> Iterator[Finding]:
        database.connect().close()  # a pool would try for longer
        store = Store(database)
        with store.transaction() as tx:
            asked_at = datetime.now(UTC)
            server = tx.diagnosis.server()
            ahead = (asked_at + (datetime.now(UTC) - asked_at) / 2 - server.now).total_seconds()
        yield from on_server(server)
        schema = on_schema(migration.version(database.url))
        yield schema
        if not schema.is_fine:
            yield from on_clocks(ahead, [])
            return
        try:
            with store.transaction() as tx:
                answers = self._ask(tx, server)
        except DatabaseUnavailable as error:  # it answered a moment ago: a statement took too long
            yield failing("work", f"What there is to do could not be asked. {_sentence(error)}", _REMEDIES["stale"])
            return
        self._longest_running = answers.longest_running
        yield from self._judge(answers, ahead)
        yield from self._guarded("stale", self._on_stale)

    def _ask(self, tx: Transaction, server: ServerFacts) -> _Answers:
        tx.diagnosis.be_brief(_LONGEST)
        lease = timedelta(seconds=self._settings.lease_seconds)
        return _Answers(
            server=server,
            staff=Staff(
                workers=tx.workers.page(),
                lease=self._settings.lease_seconds,
                heartbeat=self._settings.heartbeat_seconds,
            ),
            leader=tx.diagnosis.leader(ROLE),
            relays=tx.diagnosis.relays(),
            backlog=tx.gauges.backlog(lease),
            versions=tx.diagnosis.versions(),
            overdue=tx.diagnosis.overdue_timers(GRACE),
            longest_running=tx.diagnosis.longest_running(),
        )

    def _judge(self, found: _Answers, own_ahead: float) -> Iterator[Finding]:
        staff, backlog = found.staff, found.backlog
        processes = list(self._heard(found))
        waiting = {queue or self._engine.default_queue: number for queue, number in backlog.queues.items()}
        yield from on_connections(found.server, staff.alive, self._settings.database_connections)
        yield from on_clocks(own_ahead, processes)
        yield on_coordinator(found.leader, LEASE)
        yield from on_workers(staff, backlog.steps[StepState.DISPATCHED] + backlog.steps[StepState.READY])
        yield from on_queues(staff, waiting)
        yield from on_versions(staff, found.versions)
        yield from on_releases(release(), processes)
        yield on_ready(backlog.oldest_ready_seconds)
        yield on_timers(found.overdue)
        yield from on_dead_steps(backlog.dead_steps)
        yield on_relay(found.relays, self._settings.relay_lease_seconds)
        yield from on_subscribers(backlog.subscribers)

    def _heard(self, found: _Answers) -> Iterator[Heard]:
        """Yield the processes that are alive."""
        for worker in found.staff.alive:
            yield Heard(name=f"worker {worker.name}", release=worker.release, clock_ahead=worker.clock_ahead)
        if found.leader is not None and found.leader.silent_seconds < LEASE.total_seconds():
            yield _as_heard("coordinator", found.leader)
        for relay in found.relays:
            if relay.silent_seconds < self._settings.relay_lease_seconds:
                yield _as_heard("relay", relay)

    def _on_stale(self) -> Iterator[Finding]:
        looked, following = self._engine.stale_runs.look(None)
        stale = [each for each in looked if each.stands_for >= each.limit]
        shown = self._engine.stale_runs.explained(stale[:_SHOWN])
        yield from on_stale(shown, len(stale), is_all=following is None)

    def _on_broker(self) -> Iterator[Finding]:
        if self._settings.broker_url is None:
            yield failing("broker", "WFE_BROKER_URL is not set.", "Point it at a Redis, a Valkey or a RabbitMQ.")
            return
        try:
            facts = facts_of_broker(self._app)
        except BrokerUnavailable as error:
            yield failing("broker", f"The broker does not answer: {_sentence(error)}", _REMEDIES["broker"])
            return
        yield from on_broker(facts)
        yield from on_use(self._app.conf, facts, self._longest_running)

    def _guarded(self, check: str, look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
        try:
            yield from look()
        except WorkflowEngineError as error:
            yield failing(check, _sentence(error), _REMEDIES[check])


_REMEDIES: Final = {
    "workflows": "Correct WFE_WORKFLOWS, WFE_SUBSCRIBERS_FILE or the code; a worker does not start like this.",
    "broker": "Start it, or correct WFE_BROKER_URL. Runs are accepted meanwhile; their steps start when it is back.",
    "stale": "Ask again; if it stays so, look at the load of PostgreSQL.",
}


def _as_heard(kind: str, facts: ProcessFacts) -> Heard:
    return Heard(name=f"{kind} {facts.name}", release=facts.release, clock_ahead=facts.clock_ahead)


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())
