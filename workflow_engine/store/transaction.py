"""Transaction: one connection and the repositories that share it; Store: where they come from."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg
from psycopg import Connection

from workflow_engine.errors import DatabaseNotMigrated, DatabaseUnavailable
from workflow_engine.store.changed_runs import ChangedRuns
from workflow_engine.store.cursors import Cursors
from workflow_engine.store.database import Database
from workflow_engine.store.deadlines import Deadlines
from workflow_engine.store.deliveries import Deliveries
from workflow_engine.store.diagnosis import Diagnosis
from workflow_engine.store.event_log import EventLog
from workflow_engine.store.explanations import Explanations
from workflow_engine.store.gauges import Gauges
from workflow_engine.store.partitions import Partitions
from workflow_engine.store.plans import Plans
from workflow_engine.store.readiness import Readiness
from workflow_engine.store.rerunning import Rerunning
from workflow_engine.store.retrying import Retrying
from workflow_engine.store.run_batches import RunBatches
from workflow_engine.store.runs import Runs
from workflow_engine.store.schedules import Schedules
from workflow_engine.store.standstills import Standstills
from workflow_engine.store.statements import statement
from workflow_engine.store.steps import Steps
from workflow_engine.store.streams import Streams
from workflow_engine.store.timers import Timers
from workflow_engine.store.waiting import Waiting
from workflow_engine.store.workers import Workers

if TYPE_CHECKING:
    from workflow_engine.store.audit import AuditLog
    from workflow_engine.store.run_details import RunDetails
    from workflow_engine.store.step_dead_letters import StepDeadLetters
    from workflow_engine.store.views import Views
    from workflow_engine.store.workflow_views import WorkflowViews

T = TypeVar("T")
_TRIES: Final = 5
INTERRUPTED: Final = (psycopg.OperationalError, DatabaseUnavailable)
"""What ends a transaction from outside: it is for the caller to do all of it again."""
_NOW = statement("present_moment")
_LOST_RACES = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)


class Transaction:
    """The repositories of one connection; what they change commits together."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Work on the given connection."""
        self.connection = connection

    def now(self) -> datetime:
        """Return what time it is by PostgreSQL's clock, which all hosts go by."""
        (row,) = self.connection.execute(_NOW).fetchall()
        moment: datetime = row.now
        return moment

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what is done in it, and nothing else, if an error leaves it."""
        with self.connection.transaction():
            yield

    @cached_property
    def runs(self) -> Runs:
        """The runs."""
        return Runs(self.connection)

    @cached_property
    def run_batches(self) -> RunBatches:
        """Many runs at once."""
        return RunBatches(self.connection)

    @cached_property
    def changed_runs(self) -> ChangedRuns:
        """What is said anew about runs, and runs that are forgotten."""
        return ChangedRuns(self.connection)

    @cached_property
    def steps(self) -> Steps:
        """The steps of runs."""
        return Steps(self.connection)

    @cached_property
    def readiness(self) -> Readiness:
        """Steps that are ready."""
        return Readiness(self.connection)

    @cached_property
    def timers(self) -> Timers:
        """The moments in the future."""
        return Timers(self.connection)

    @cached_property
    def deadlines(self) -> Deadlines:
        """When runs are due and when they time out."""
        return Deadlines(self.connection)

    @cached_property
    def waiting(self) -> Waiting:
        """Suspended steps, and signals."""
        return Waiting(self.connection)

    @cached_property
    def plans(self) -> Plans:
        """The registered plans."""
        return Plans(self.connection)

    @cached_property
    def event_log(self) -> EventLog:
        """The event log."""
        return EventLog(self.connection)

    @cached_property
    def schedules(self) -> Schedules:
        """The schedules and their occurrences."""
        return Schedules(self.connection)

    @cached_property
    def workers(self) -> Workers:
        """The workers' heartbeats."""
        return Workers(self.connection)

    @cached_property
    def cursors(self) -> Cursors:
        """How far durable subscribers are."""
        return Cursors(self.connection)

    @cached_property
    def deliveries(self) -> Deliveries:
        """Deliveries that failed."""
        return Deliveries(self.connection)

    @cached_property
    def retrying(self) -> Retrying:
        """Runs whose failed steps are retried."""
        return Retrying(self.connection)

    @cached_property
    def rerunning(self) -> Rerunning:
        """Runs that do part of an earlier one again."""
        return Rerunning(self.connection)

    @cached_property
    def streams(self) -> Streams:
        """What live streams ask."""
        return Streams(self.connection)

    @cached_property
    def step_dead_letters(self) -> "StepDeadLetters":
        """Steps that failed for good."""
        made: StepDeadLetters = self._made("step_dead_letters", "StepDeadLetters")
        return made

    @cached_property
    def audit(self) -> "AuditLog":
        """The audit log."""
        made: AuditLog = self._made("audit", "AuditLog")
        return made

    @cached_property
    def partitions(self) -> Partitions:
        """The monthly partitions."""
        return Partitions(self.connection)

    @cached_property
    def gauges(self) -> Gauges:
        """Counts of what is not finished."""
        return Gauges(self.connection)

    @cached_property
    def explanations(self) -> Explanations:
        """Why runs are where they are."""
        return Explanations(self.connection)

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """How the database is set up, and who works on it."""
        return Diagnosis(self.connection)

    @cached_property
    def standstills(self) -> Standstills:
        """Runs of which nothing moves."""
        return Standstills(self.connection)

    @cached_property
    def run_details(self) -> "RunDetails":
        """What is told of one run."""
        made: RunDetails = self._made("run_details", "RunDetails")
        return made

    @cached_property
    def workflow_views(self) -> "WorkflowViews":
        """What is told of workflows."""
        made: WorkflowViews = self._made("workflow_views", "WorkflowViews")
        return made

    @cached_property
    def views(self) -> "Views":
        """The read side."""
        made: Views = self._made("views", "Views")
        return made

    def _made(self, module: str, repository: str) -> Any:
        """Return a repository that writes its statements with SQLAlchemy, which workers need not import."""
        return getattr(import_module(f"workflow_engine.store.{module}"), repository)(self.connection)


class Store:
    """Transactions on one database."""

    def __init__(self, database: Database) -> None:
        """Take transactions from ``database``."""
        self.database = database

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Several statements that commit together, or not at all.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
            DatabaseNotMigrated: a table is missing.
        """
        with readable_errors(), self.database.transaction() as connection:
            yield Transaction(connection)

    @contextmanager
    def snapshot(self) -> Iterator[Transaction]:
        """Questions, any number of them, about one and the same moment.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
            DatabaseNotMigrated: a table is missing.
        """
        with self.transaction() as tx:
            tx.connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield tx

    @contextmanager
    def in_order(self) -> Iterator[Transaction]:
        """Questions that are answered along an index, as far as need be, and never by sorting all that fits.

        Plans are made once for all values: where few rows are expected of a value PostgreSQL would sort them, and of
        the one value that half of all rows have it would sort these.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
            DatabaseNotMigrated: a table is missing.
        """
        with self.single() as tx:
            tx.connection.execute(b"BEGIN READ ONLY; SET LOCAL enable_bitmapscan = off")
            try:
                yield tx
            finally:
                if not tx.connection.closed:
                    tx.connection.execute(b"ROLLBACK")

    def transact(self, work: Callable[[Transaction], T]) -> T:
        """Do ``work`` in a transaction of its own; again, a few times, if PostgreSQL ends it as a deadlock's victim.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
            DatabaseNotMigrated: a table is missing.
        """
        for _ in range(_TRIES):
            try:
                with self.transaction() as tx:
                    return work(tx)
            except _LOST_RACES as error:
                lost = error
        raise DatabaseUnavailable(f"PostgreSQL ended {_TRIES} tries so that others go on: {lost}") from lost

    @contextmanager
    def single(self) -> Iterator[Transaction]:
        """Statements that each commit by themselves: for the hot path, where one statement is the whole command.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
            DatabaseNotMigrated: a table is missing.
        """
        try:
            with readable_errors(), self.database.connection() as connection:
                yield Transaction(connection)
        except _LOST_RACES as error:  # no statement of ours should; whoever retries after an outage retries this too
            raise DatabaseUnavailable(f"PostgreSQL ended a statement so that others go on: {error}") from error


@contextmanager
def readable_errors() -> Iterator[None]:
    """Say in our own words what PostgreSQL said, where a caller can act on it."""
    try:
        yield
    except psycopg.errors.UndefinedTable as error:
        raise DatabaseNotMigrated(
            f"the database has no Workflow Engine tables ({error.diag.message_primary}); run `wfe db upgrade`"
        ) from error
    except psycopg.errors.UndefinedColumn as error:
        raise DatabaseNotMigrated(
            f"the database's schema is not this release's ({error.diag.message_primary}); run `wfe db upgrade`"
        ) from error
    except psycopg.OperationalError as error:
        if isinstance(error, _LOST_RACES):
            raise  # transact() tries again
        raise DatabaseUnavailable(f"PostgreSQL does not answer: {error}".rstrip()) from error
