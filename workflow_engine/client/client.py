"""WorkflowClient: submit runs and find them again."""

from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from typing import Any

from workflow_engine.client.batch import BATCH_LIMIT, OneMoment, RunToSubmit, numbered
from workflow_engine.client.bulk import RunsInBulk
from workflow_engine.client.dead_letters import DeadLetters
from workflow_engine.client.definitions import Definitions
from workflow_engine.client.handle import RunHandle
from workflow_engine.client.run_details import RunDetails
from workflow_engine.client.run_lists import RunLists
from workflow_engine.client.schedules import Schedules
from workflow_engine.client.submitting import Submitting
from workflow_engine.clock import Clock
from workflow_engine.definitions.registry import Registry
from workflow_engine.definitions.workflow import Workflow
from workflow_engine.engine.explainer import Explainer
from workflow_engine.engine.handlers.run import Submitted
from workflow_engine.engine.processor import Processor
from workflow_engine.engine.stale_runs import StaleRuns
from workflow_engine.errors import InvalidInput, RunNotFound
from workflow_engine.ids import RunId
from workflow_engine.model.explanation import Explanation
from workflow_engine.model.pages import Page, Place, check_limit
from workflow_engine.model.records import RunRecord, RunSummary
from workflow_engine.model.run import RunState
from workflow_engine.model.run_filter import RunOrder
from workflow_engine.model.run_options import check_text
from workflow_engine.model.standstills import StaleRun
from workflow_engine.model.statistics import RunStatistics
from workflow_engine.model.workers import WorkerRecord
from workflow_engine.store.clock import DatabaseClock
from workflow_engine.store.session import caller_transaction
from workflow_engine.store.transaction import Store
from workflow_engine.store.views import WorkflowRecord


class WorkflowClient:
    """Submits runs to one database and broker."""

    def __init__(
        self,
        store: Store,
        processor: Processor,
        registry: Registry,
        clock: Clock,
        *,
        namespace: str,
        input_limit: int,
        explainer: Explainer | None = None,
        stale: StaleRuns | None = None,
    ) -> None:
        """Use the given parts; applications call ``Client()``, which wires them from the settings."""
        self._store = store
        self._processor = processor
        self._registry = registry
        self._clock = clock
        self._namespace = namespace
        self._input_limit = input_limit
        self._explainer = explainer or Explainer(store, processor.plan)
        self._stale = stale or StaleRuns(store, self._explainer)
        self._lists = RunLists(store, namespace=namespace)
        self.dead_letters = DeadLetters(store, processor, namespace=namespace)
        """The steps that failed for good."""
        self._submitting = Submitting(store, processor, registry, clock, namespace=namespace, input_limit=input_limit)

    @property
    def namespace(self) -> str:
        """The namespace that it submits to and sees."""
        return self._namespace

    def in_namespace(self, namespace: str) -> "WorkflowClient":
        """Return the client of another namespace, on the same connections.

        Raises:
            InvalidInput: ``namespace`` is no text.
        """
        if namespace == self._namespace:
            return self
        other = WorkflowClient(
            self._store,
            self._processor,
            self._registry,
            self._clock,
            namespace=check_text("namespace", namespace),
            input_limit=self._input_limit,
            explainer=self._explainer,
            stale=self._stale,
        )
        other._submitting = self._submitting.in_namespace(namespace)
        return other

    def submit(
        self,
        workflow: Workflow | str,
        input: Any = None,  # noqa: A002  the word of the public interface
        *,
        version: str | None = None,
        session: object = None,
        **options: Any,
    ) -> RunHandle:
        """Store a run and start it.

        Args:
            workflow: the workflow, or the name of one that is loaded here or was submitted before.
            input: what the handlers get as ``ctx.input``: JSON, or an instance of the workflow's input model.
            version: of a workflow given by name; the newest unless named.
            session: a SQLAlchemy session or connection, or a psycopg connection: the run then exists if and only if
                that transaction commits, and starts when it does.
            **options: ``idempotency_key``, ``correlation_id``, ``title``, ``description``, ``tags``, ``metadata``,
                ``agent``, ``initiator``, ``priority``, ``due_at``, ``remind_before`` (up to 20 seconds or timedeltas
                before ``due_at``), ``timeout`` (seconds or a timedelta, in place of the workflow's),
                ``scheduled_at``, ``expires_at`` or ``expires_in``;
                ``traceparent``, by default that of the caller's OpenTelemetry span.

        Raises:
            InvalidInput: the input or an option is refused; nothing is stored.
            IdempotencyConflict: the key belongs to a run with another input.
            WorkflowNotFound: no workflow of that name and version is known.
            DefinitionError: the workflow cannot work, or its version is registered with another definition.
            DatabaseUnavailable: PostgreSQL does not answer; nothing is stored.
        """
        command = self._submitting.command(workflow, input, version, self._submitting.options(options))
        if session is not None:
            submitted: Submitted = self._processor.execute_within(command, caller_transaction(session))
        else:
            submitted = self._processor.execute(command)
        return self._handle(submitted.run_id, created=submitted.created)

    def submit_many(
        self, workflow: Workflow | str, inputs: Iterable[Any], *, version: str | None = None, **options: Any
    ) -> list[RunHandle]:
        """Store up to 1,000 runs in one transaction, and start them: all of them, or none.

        If they are many, the broker is told of them after the return; should this process die before that, coordinators
        find what it was not told.

        Args:
            workflow: as for ``submit``.
            inputs: one input for each run.
            version: as for ``submit``.
            **options: as for ``submit``, the same for every run, without ``idempotency_key``.

        Raises:
            InvalidInput: an input is refused; the message names its index. Nothing is stored.
        """
        if "idempotency_key" in options:
            raise InvalidInput("idempotency_key", "names one run; submit_batch takes one for each")
        checked = self._submitting.options(options)
        commands = []
        for index, value in enumerate(inputs):
            if index >= BATCH_LIMIT:
                raise InvalidInput("inputs", f"a batch has at most {BATCH_LIMIT} runs")
            try:
                commands.append(self._submitting.command(workflow, value, version, checked))
            except InvalidInput as error:
                raise InvalidInput(f"inputs[{index}].{error.field}", error.reason) from None
        return [self._handle(each.run_id) for each in self._processor.execute_all(commands)]

    def submit_batch(self, runs: Iterable[RunToSubmit]) -> list[RunHandle]:
        """Store up to 1,000 runs, of any workflows, in one transaction, and start them: all of them, or none.

        Raises:
            InvalidInput: a run is refused; the message names its index. Nothing is stored.
            IdempotencyConflict: a key belongs to a run with another input. Nothing is stored.
            WorkflowNotFound: a workflow is not known. Nothing is stored.
        """
        moment = OneMoment(DatabaseClock(self._store))
        commands = []
        for index, each in numbered(runs):
            try:
                options = self._submitting.options(dict(each.options), moment)
                commands.append(self._submitting.command(each.workflow, each.input, each.version, options))
            except InvalidInput as error:
                raise InvalidInput(f"runs[{index}].{error.field}", error.reason) from None
        done: list[Submitted] = self._processor.execute_all(commands)
        return [self._handle(each.run_id, created=each.created) for each in done]

    def run(self, run_id: str) -> RunHandle:
        """Return the run with an id.

        Raises:
            RunNotFound: there is none.
        """
        return self._handle(self.describe(run_id).id)  # its usual form, whatever the form it was asked by

    def describe(self, run_id: str) -> RunRecord:
        """Return the row of the run with an id.

        Raises:
            RunNotFound: there is none.
        """
        record = self._handle(RunId(run_id)).record
        if record.namespace != self._namespace:
            raise RunNotFound(run_id)
        return record

    def signal(
        self, run_id: str, name: str, payload: Any = None, *, actor: str | None = None, key: str | None = None
    ) -> bool:
        """Give a run a signal; arguments, answer and errors as ``RunHandle.signal``."""
        return self.run(run_id).signal(name, payload, actor=actor, key=key)

    def runs(
        self,
        *,
        workflow: str | None = None,
        states: Iterable[str] = (),
        tag: str | None = None,
        limit: int = 50,
        before: RunRecord | None = None,
    ) -> list[RunRecord]:
        """Return the newest runs that fit, at most ``limit`` (1 to 1,000); ``before`` is the last of the page before.

        Raises:
            InvalidInput: a state that does not exist, or a limit out of range.
        """
        check_limit(limit)
        wanted = {
            "workflow": None if workflow is None else check_text("workflow", workflow),
            "states": [_run_state(state) for state in states],
            "tags": () if tag is None else (check_text("tag", tag),),
        }
        after = None if before is None else Place(moment=before.created_at, run_id=before.id)
        return self._lists.newest(limit, after, **wanted)

    def page_runs(
        self,
        *,
        limit: int = 50,
        cursor: str | None = None,
        order: str = RunOrder.NEWEST,
        with_input: bool = False,
        **wanted: Any,
    ) -> Page[RunSummary]:
        """Return runs of this namespace that fit all that is said, a page at a time, in the order of their submits.

        However many runs there are, a page costs about the same: it looks at a bounded number of them. So a page may be
        short, or empty, and yet have a ``next``.

        Args:
            limit: how many at most (1 to 1,000).
            cursor: ``next`` of the page before, with the same filter and order.
            order: ``newest`` first, or ``oldest``.
            with_input: items are ``RunRecord``, with the input; else ``RunSummary``, without.
            **wanted: ``states`` (any of them), ``workflow``, ``version`` (of that workflow), ``tags`` (all of them),
                ``metadata`` (what the run's has in it), ``agent``, ``initiator``, ``correlation_id``,
                ``idempotency_key``, ``schedule`` (its name), ``rerun_of`` (a run's id), ``title`` (text in it, whatever
                the case), ``created_after``, ``created_before``, ``finished_after``, ``finished_before``,
                ``due_before``.

        Raises:
            InvalidInput: an argument is of the wrong form, or the cursor is not of this list; the message names it.
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        return self._lists.page(limit=limit, cursor=cursor, order=order, with_input=with_input, **wanted)

    def statistics(self, **wanted: Any) -> RunStatistics:
        """Return how many runs there were, how they ended and how long they took, hour by hour too.

        Of the runs submitted within a time, at most 31 days, the newest 50,000 are looked at (by tag, metadata, agent,
        initiator, correlation id or schedule 10,000), so that it costs about the same however many there are;
        ``complete`` says whether these were all.

        Args:
            **wanted: as for ``page_runs``; the time is from ``created_after``, by default a day before its end, to
                ``created_before``, by default now.

        Raises:
            InvalidInput: an argument is of the wrong form; the message names it.
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        return self._lists.statistics(**wanted)

    def reschedule(self, run_id: str, **said: Any) -> bool:
        """Say anew when a run is due; arguments and errors as ``RunHandle.reschedule``."""
        return self.run(run_id).reschedule(**said)

    def explain(self, run_id: str) -> Explanation:
        """Return why a run does not move, or how it ended; see ``RunHandle.explain``.

        Raises:
            RunNotFound: there is none.
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        return self.run(run_id).explain()

    def stale_runs(
        self, *, limit: int = 50, after: tuple[datetime, str] | None = None
    ) -> tuple[list[StaleRun], tuple[datetime, str] | None]:
        """Return runs of which nothing has moved for 80 % of their limit or more, the oldest first, each with why.

        Args:
            limit: how many at most (1 to 1,000).
            after: what the page before came with.

        Returns:
            The runs, and what to ask the next page with; None if there is none. A page looks at 2,000 unfinished runs,
            so it may be short, or empty, and yet be followed by another.

        Raises:
            InvalidInput: ``limit`` is out of range.
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        check_limit(limit)
        return self._stale.page(namespace=self._namespace, limit=limit, after=after)

    def workflows(self) -> list[WorkflowRecord]:
        """Return every version ever submitted in this namespace."""
        with self._store.single() as tx:
            return tx.views.workflows(self._namespace)

    def workers(self) -> list[WorkerRecord]:
        """Return the workers of this database, of whatever namespace, that were heard of within the last day."""
        with self._store.single() as tx:
            return tx.workers.page()

    def details(self, run_id: str) -> RunDetails:
        """Return what is told of a run for people: its steps page by page, its graph, its timeline.

        Raises:
            RunNotFound: there is none.
        """
        return RunDetails(self.describe(run_id), self._store, self._processor)

    @property
    def definitions(self) -> Definitions:
        """The workflows of this namespace."""
        return Definitions(self._store, self._registry, namespace=self._namespace)

    @cached_property
    def in_bulk(self) -> RunsInBulk:
        """The same done to many runs."""
        return RunsInBulk(self._lists, self._processor, self._handle)

    @cached_property
    def schedules(self) -> Schedules:
        """The schedules of this namespace."""
        return Schedules(
            self._store,
            self._processor,
            self._clock,
            namespace=self._namespace,
            accept=self._submitting.accept_for_schedule,
        )

    def register(self, workflow: Workflow) -> int:
        """Store a workflow's plan unless its version is known; return the plan's id. ``submit`` does it by itself.

        Raises:
            DefinitionError: the workflow cannot work, or its version is registered with another definition.
        """
        return self._submitting.register(workflow)

    def _handle(self, run_id: RunId, *, created: bool = True) -> RunHandle:
        return RunHandle(
            run_id,
            self._store,
            self._processor,
            input_limit=self._input_limit,
            created=created,
            explainer=self._explainer,
        )


def _run_state(state: str) -> RunState:
    try:
        return RunState(state)
    except ValueError:
        raise InvalidInput("state", f"must be one of {', '.join(RunState)}, not {state!r}") from None
