"""The same clients for asyncio: each call runs in a thread, so that no event loop ever waits for a database."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from workflow_engine.client.asynchronous_schedules import AsyncSchedules
from workflow_engine.client.batch import RunToSubmit
from workflow_engine.client.bulk import DoneInBulk, RunsInBulk
from workflow_engine.client.client import WorkflowClient
from workflow_engine.client.dead_letters import DeadLetters, Handled
from workflow_engine.client.handle import RunHandle
from workflow_engine.definitions.workflow import Workflow
from workflow_engine.engine.handlers.retrying import Retried
from workflow_engine.ids import RunId
from workflow_engine.model.dead_letters import StepDeadLetter
from workflow_engine.model.explanation import Explanation
from workflow_engine.model.pages import Page
from workflow_engine.model.records import EventRecord, RunRecord, RunSummary, StepRecord
from workflow_engine.model.run import RunState
from workflow_engine.model.standstills import StaleRun
from workflow_engine.model.statistics import RunStatistics
from workflow_engine.model.workers import WorkerRecord
from workflow_engine.store.views import WorkflowRecord


class AsyncRunHandle:
    """One run; see ``RunHandle``."""

    def __init__(self, handle: RunHandle) -> None:
        """Wrap a handle."""
        self._handle = handle

    @property
    def id(self) -> RunId:
        """The run's id."""
        return self._handle.id

    @property
    def created(self) -> bool:
        """False where an idempotency key led to a run that was there before."""
        return self._handle.created

    async def record(self) -> RunRecord:
        """Return the run's row as it is now."""
        return await asyncio.to_thread(lambda: self._handle.record)

    async def state(self) -> RunState:
        """Return where the run stands now."""
        return await asyncio.to_thread(lambda: self._handle.state)

    async def result(self) -> dict[str, Any]:
        """Return the results of the steps nobody waits for, by name."""
        return await asyncio.to_thread(lambda: self._handle.result)

    async def wait(self, timeout: float | None = None) -> Self:
        """Come back when the run has ended.

        Raises:
            RunTimeout: it had not ended after ``timeout`` seconds; it goes on.
        """
        await asyncio.to_thread(self._handle.wait, timeout)
        return self

    async def steps(self) -> list[StepRecord]:
        """Return the run's steps in topological order."""
        return await asyncio.to_thread(self._handle.steps)

    async def events(self, after: int = 0) -> list[EventRecord]:
        """Return the run's events, oldest first."""
        return await asyncio.to_thread(self._handle.events, after)

    async def follow(self, timeout: float | None = None) -> AsyncIterator[EventRecord]:
        """Yield the run's events until it has ended; see ``RunHandle.follow``."""
        events = self._handle.follow(timeout)
        while (event := await asyncio.to_thread(next, events, None)) is not None:
            yield event

    async def explain(self) -> Explanation:
        """Return why the run does not move, or how it ended; errors as ``RunHandle.explain``."""
        return await asyncio.to_thread(self._handle.explain)

    async def cancel(self, reason: str | None = None, **said: Any) -> bool:
        """Cancel the run; arguments, answer and errors as ``RunHandle.cancel``."""
        return await asyncio.to_thread(lambda: self._handle.cancel(reason, **said))

    async def pause(self, reason: str | None = None, *, actor: str | None = None) -> bool:
        """Start nothing more of the run; answer and errors as ``RunHandle.pause``."""
        return await asyncio.to_thread(lambda: self._handle.pause(reason, actor=actor))

    async def resume(self, reason: str | None = None, *, actor: str | None = None) -> bool:
        """Let the run go on; answer and errors as ``RunHandle.resume``."""
        return await asyncio.to_thread(lambda: self._handle.resume(reason, actor=actor))

    async def retry(self, steps: Sequence[str] = (), **said: Any) -> Retried:
        """Run what has failed again; arguments, answer and errors as ``RunHandle.retry``."""
        return await asyncio.to_thread(lambda: self._handle.retry(steps, **said))

    async def rerun(self, step: str, **said: Any) -> "AsyncRunHandle":
        """Do part of the run again, in a new one; arguments and errors as ``RunHandle.rerun``."""
        return AsyncRunHandle(await asyncio.to_thread(lambda: self._handle.rerun(step, **said)))

    async def resolve(self, step: str, result: Any, *, reason: str, actor: str | None = None) -> bool:
        """Say by hand what a step's result is; answer and errors as ``RunHandle.resolve``."""
        return await asyncio.to_thread(lambda: self._handle.resolve(step, result, reason=reason, actor=actor))

    async def update(self, **said: Any) -> tuple[str, ...]:
        """Change what is said about the run; arguments and errors as ``RunHandle.update``."""
        return await asyncio.to_thread(lambda: self._handle.update(**said))

    async def delete(self, reason: str | None = None, *, actor: str | None = None) -> None:
        """Forget the run, which has ended; errors as ``RunHandle.delete``."""
        await asyncio.to_thread(lambda: self._handle.delete(reason, actor=actor))

    async def reschedule(self, **said: Any) -> bool:
        """Say anew when the run is due; arguments and errors as ``RunHandle.reschedule``."""
        return await asyncio.to_thread(lambda: self._handle.reschedule(**said))

    async def signal(self, name: str, payload: Any = None, *, actor: str | None = None, key: str | None = None) -> bool:
        """Give the run a signal; arguments, answer and errors as ``RunHandle.signal``."""
        return await asyncio.to_thread(lambda: self._handle.signal(name, payload, actor=actor, key=key))


class AsyncDeadLetters:
    """The steps that failed for good; see ``DeadLetters``."""

    def __init__(self, letters: DeadLetters) -> None:
        """Wrap those of a client."""
        self._letters = letters

    async def page(self, **wanted: Any) -> list[StepDeadLetter]:
        """Return the newest that fit; arguments and errors as ``DeadLetters.page``."""
        return await asyncio.to_thread(lambda: self._letters.page(**wanted))

    async def get(self, id: str) -> StepDeadLetter:  # noqa: A002  as everywhere else
        """Return one by its id; errors as ``DeadLetters.get``."""
        return await asyncio.to_thread(self._letters.get, id)

    async def history(self, id: str) -> list[EventRecord]:  # noqa: A002
        """Return what befell a step, oldest first; errors as ``DeadLetters.history``."""
        return await asyncio.to_thread(self._letters.history, id)

    async def requeue(self, id: str, *, reason: str | None = None, actor: str | None = None) -> StepDeadLetter:  # noqa: A002
        """Run a failed step again; errors as ``DeadLetters.requeue``."""
        return await asyncio.to_thread(lambda: self._letters.requeue(id, reason=reason, actor=actor))

    async def discard(self, id: str, *, reason: str | None = None, actor: str | None = None) -> StepDeadLetter:  # noqa: A002
        """Give a failed step up for good; errors as ``DeadLetters.discard``."""
        return await asyncio.to_thread(lambda: self._letters.discard(id, reason=reason, actor=actor))

    async def requeue_all(self, **wanted: Any) -> Handled:
        """Requeue every one that fits; arguments and errors as ``DeadLetters.requeue_all``."""
        return await asyncio.to_thread(lambda: self._letters.requeue_all(**wanted))

    async def discard_all(self, **wanted: Any) -> Handled:
        """Discard every one that fits; arguments and errors as ``DeadLetters.requeue_all``."""
        return await asyncio.to_thread(lambda: self._letters.discard_all(**wanted))


class AsyncRunsInBulk:
    """The same done to many runs; arguments and errors as those of ``RunsInBulk``."""

    def __init__(self, bulk: RunsInBulk) -> None:
        """Wrap that of a client."""
        self._bulk = bulk

    async def cancel(self, **wanted: Any) -> DoneInBulk:
        """Cancel the runs that fit."""
        return await asyncio.to_thread(lambda: self._bulk.cancel(**wanted))

    async def pause(self, **wanted: Any) -> DoneInBulk:
        """Pause the runs that fit."""
        return await asyncio.to_thread(lambda: self._bulk.pause(**wanted))

    async def resume(self, **wanted: Any) -> DoneInBulk:
        """Resume the runs that fit."""
        return await asyncio.to_thread(lambda: self._bulk.resume(**wanted))

    async def retry(self, **wanted: Any) -> DoneInBulk:
        """Retry what has failed of the runs that fit."""
        return await asyncio.to_thread(lambda: self._bulk.retry(**wanted))

    async def update(self, changes: Mapping[str, Any], **wanted: Any) -> DoneInBulk:
        """Say something else about the runs that fit."""
        return await asyncio.to_thread(lambda: self._bulk.update(changes, **wanted))

    async def delete(self, **wanted: Any) -> DoneInBulk:
        """Forget the runs that fit and have ended."""
        return await asyncio.to_thread(lambda: self._bulk.delete(**wanted))


class AsyncWorkflowClient:
    """Submits runs from asyncio; see ``WorkflowClient``."""

    def __init__(self, client: WorkflowClient) -> None:
        """Wrap a client."""
        self._client = client

    @property
    def dead_letters(self) -> AsyncDeadLetters:
        """The steps that failed for good."""
        return AsyncDeadLetters(self._client.dead_letters)

    async def submit(self, workflow: Workflow | str, input: Any = None, **options: Any) -> AsyncRunHandle:  # noqa: A002
        """Store a run and start it; arguments and errors as ``WorkflowClient.submit``."""
        return AsyncRunHandle(await asyncio.to_thread(self._client.submit, workflow, input, **options))

    async def submit_many(
        self, workflow: Workflow | str, inputs: Iterable[Any], **options: Any
    ) -> list[AsyncRunHandle]:
        """Store many runs in one transaction; arguments and errors as ``WorkflowClient.submit_many``."""
        handles = await asyncio.to_thread(self._client.submit_many, workflow, inputs, **options)
        return [AsyncRunHandle(handle) for handle in handles]

    async def run(self, run_id: str) -> AsyncRunHandle:
        """Return the run with an id.

        Raises:
            RunNotFound: there is none.
        """
        return AsyncRunHandle(await asyncio.to_thread(self._client.run, run_id))

    async def signal(
        self, run_id: str, name: str, payload: Any = None, *, actor: str | None = None, key: str | None = None
    ) -> bool:
        """Give a run a signal; arguments, answer and errors as ``RunHandle.signal``."""
        return await asyncio.to_thread(lambda: self._client.signal(run_id, name, payload, actor=actor, key=key))

    async def runs(self, **wanted: Any) -> list[RunRecord]:
        """Return the newest runs that fit; arguments as ``WorkflowClient.runs``."""
        return await asyncio.to_thread(lambda: self._client.runs(**wanted))

    async def page_runs(self, **wanted: Any) -> Page[RunSummary]:
        """Return a page of the runs that fit; arguments and errors as ``WorkflowClient.page_runs``."""
        return await asyncio.to_thread(lambda: self._client.page_runs(**wanted))

    async def submit_batch(self, runs: Iterable[RunToSubmit]) -> list[AsyncRunHandle]:
        """Store runs of any workflows in one transaction; errors as ``WorkflowClient.submit_batch``."""
        return [AsyncRunHandle(handle) for handle in await asyncio.to_thread(self._client.submit_batch, runs)]

    async def statistics(self, **wanted: Any) -> RunStatistics:
        """Return how many runs there were and how they ended; arguments and errors as ``WorkflowClient.statistics``."""
        return await asyncio.to_thread(lambda: self._client.statistics(**wanted))

    @property
    def in_bulk(self) -> AsyncRunsInBulk:
        """The same done to many runs."""
        return AsyncRunsInBulk(self._client.in_bulk)

    @property
    def schedules(self) -> AsyncSchedules:
        """The schedules of this namespace."""
        return AsyncSchedules(self._client.schedules)

    async def reschedule(self, run_id: str, **said: Any) -> bool:
        """Say anew when a run is due; arguments and errors as ``RunHandle.reschedule``."""
        return await asyncio.to_thread(lambda: self._client.reschedule(run_id, **said))

    async def explain(self, run_id: str) -> Explanation:
        """Return why a run does not move, or how it ended; errors as ``WorkflowClient.explain``."""
        return await asyncio.to_thread(self._client.explain, run_id)

    async def stale_runs(self, **wanted: Any) -> tuple[list[StaleRun], tuple[datetime, str] | None]:
        """Return runs of which nothing moves; arguments as ``WorkflowClient.stale_runs``."""
        return await asyncio.to_thread(lambda: self._client.stale_runs(**wanted))

    async def workflows(self) -> list[WorkflowRecord]:
        """Return every version ever submitted in this namespace."""
        return await asyncio.to_thread(self._client.workflows)

    async def workers(self) -> list[WorkerRecord]:
        """Return the workers that were heard of within the last day."""
        return await asyncio.to_thread(self._client.workers)
