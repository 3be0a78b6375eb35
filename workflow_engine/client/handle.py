"""RunHandle: one run, as its submitter sees it."""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from threading import Event as Flag
from time import monotonic
from typing import Any, Final, Self

from workflow_engine.client.lifecycle import Lifecycle
from workflow_engine.client.run_tail import RunTail, read_events
from workflow_engine.engine.explainer import Explainer
from workflow_engine.engine.handlers.retrying import Retried
from workflow_engine.engine.processor import Processor
from workflow_engine.errors import InvalidInput, RunNotFound, RunTimeout
from workflow_engine.ids import RunId
from workflow_engine.model.commands import DeliverSignal, UpdateDeadline
from workflow_engine.model.deadlines import UNCHANGED, Unsaid
from workflow_engine.model.explanation import Explanation
from workflow_engine.model.json_values import payload_as_json
from workflow_engine.model.records import EventRecord, RunRecord, StepRecord
from workflow_engine.model.run import FINAL_RUN_STATES, RunState
from workflow_engine.model.run_options import deadline_options, signal_options
from workflow_engine.model.step import StepState
from workflow_engine.store.transaction import Store

_FIRST_LOOK, _LONGEST_LOOK = 0.005, 0.25
"""Seconds between two looks at a run that somebody waits for: quick at first, then sparing."""
GROWTH: Final = 1.5


class RunHandle:
    """One run: where it stands, what it made, and what may be asked of it."""

    def __init__(
        self,
        run_id: RunId,
        store: Store,
        processor: Processor,
        *,
        input_limit: int,
        created: bool = True,
        explainer: Explainer | None = None,
    ) -> None:
        """Name a run; nothing is read yet. What it is told has at most ``input_limit`` bytes."""
        self.id = run_id
        self.created = created
        """False where an idempotency key led to a run that was there before."""
        self._store = store
        self._processor = processor
        self._explainer = explainer or Explainer(store, processor.plan)
        self._input_limit = input_limit
        self._lifecycle = Lifecycle(run_id=run_id, store=store, processor=processor)

    def __repr__(self) -> str:
        return f"RunHandle({self.id!r})"

    @property
    def record(self) -> RunRecord:
        """The run's row as it is now.

        Raises:
            RunNotFound: it is not there.
        """
        with self._store.single() as tx:
            record = tx.views.find_run(self.id)
        if record is None:
            raise RunNotFound(self.id)
        return record

    @property
    def state(self) -> RunState:
        """Where the run stands now."""
        with self._store.single() as tx:
            state = tx.views.run_state(self.id)
        if state is None:
            raise RunNotFound(self.id)
        return state

    @property
    def result(self) -> dict[str, Any]:
        """The results of the steps nobody waits for, by name; those that have not succeeded are absent."""
        with self._store.single() as tx:
            plan_id = tx.views.plan_of(self.id)
        if plan_id is None:
            raise RunNotFound(self.id)
        sinks = self._processor.plan(plan_id).sinks
        with self._store.single() as tx:
            return tx.views.results_of(self.id, sinks)

    @property
    def error(self) -> dict[str, Any] | None:
        """The failure that decided the run, if any: ``step`` (None: it timed out), ``error_class`` and ``message``."""
        error = self.record.error
        return None if error is None else dict(error)

    def wait(self, timeout: float | None = None) -> Self:
        """Come back when the run has ended, however it did.

        Args:
            timeout: seconds; None waits for ever.

        Raises:
            RunTimeout: it had not ended by then; it goes on.
            RunNotFound: it is not there.
            InvalidInput: ``timeout`` is no number of seconds.
        """
        if timeout is not None and math.isnan(timeout):
            raise InvalidInput("timeout", "must be seconds, not NaN: that would wait for ever")
        deadline = None if timeout is None else monotonic() + timeout
        pause = _FIRST_LOOK
        while (state := self.state) not in FINAL_RUN_STATES:
            left = None if deadline is None else deadline - monotonic()
            if left is not None and left <= 0:
                raise RunTimeout(self.id, state, timeout or 0.0)
            Flag().wait(pause if left is None else min(pause, left))
            pause = min(pause * GROWTH, _LONGEST_LOOK)
        return self

    def steps(self) -> list[StepRecord]:
        """The run's steps in topological order."""
        with self._store.single() as tx:
            return tx.views.steps_of(self.id)

    def count_steps(self) -> dict[StepState, int]:
        """How many of the run's steps are in each state."""
        with self._store.single() as tx:
            return tx.views.count_steps(self.id)

    def events(self, after: int = 0) -> list[EventRecord]:
        """The run's events, oldest first; ``after`` is the ``position`` of the last one you have.

        While a run moves, an event may be seen after one with a later position; ``follow`` leaves none out.
        """
        with self._store.single() as tx:
            return read_events(tx.views, self.id, after)

    def follow(self, timeout: float | None = None) -> Iterator[EventRecord]:
        """The run's events, each once: those there are, then those that come, until the run has ended.

        Those of one step come in order, and so do all as a rule. Looks ten times a second.

        Args:
            timeout: seconds; None waits for ever.

        Raises:
            RunTimeout: it had not ended by then; it goes on.
            RunNotFound: it is not there.
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        for news in self.tail().looks(timeout):
            yield from news

    def tail(self) -> RunTail:
        """What is new of the run at each look, for those who want to do something between two looks.

        Raises:
            RunNotFound: it is not there.
        """
        return RunTail(self.id, self._store, self.record)

    def explain(self) -> Explanation:
        """Why the run does not move, or how it ended: for the run, and for each step that has not succeeded.

        Six statements, whatever the size of the run; of its steps at most 10,000 are explained.

        Raises:
            RunNotFound: it is not there.
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        found = self._explainer.explain(self.id)
        if found is None:
            raise RunNotFound(self.id)
        return found

    def cancel(
        self, reason: str | None = None, *, actor: str | None = None, grace: float | timedelta | None = None
    ) -> bool:
        """Cancel what has not started and give what runs some time to end.

        Handlers hear of it by ``ctx.heartbeat()``. What still runs after ``grace`` counts as cancelled, and its process
        is killed where the pool has processes or greenlets.

        Args:
            reason: kept with the run.
            actor: who asks.
            grace: seconds or a timedelta, up to a day; by default the setting ``cancel_grace_seconds``. Who cancels a
                second time may shorten it.

        Returns:
            False if the run had ended already.

        Raises:
            InvalidInput: an argument is of the wrong form, or too long.
        """
        return self._lifecycle.cancel(reason=reason, actor=actor, grace=grace)

    def pause(self, reason: str | None = None, *, actor: str | None = None) -> bool:
        """Start nothing more of the run, also nothing that was sent to a queue; what runs may end.

        Its timers go on: a delay that is over is over, and a run that is not resumed in time expires or times out.

        Returns:
            False if it was paused already.

        Raises:
            RunEnded: it has ended, or is being cancelled.
            RunNotFound: it is not there.
            InvalidInput: an argument is of the wrong form, or too long.
        """
        return self._lifecycle.pause(reason=reason, actor=actor)

    def resume(self, reason: str | None = None, *, actor: str | None = None) -> bool:
        """Let a paused run go on; False if it was not paused. Errors as for ``pause``."""
        return self._lifecycle.resume(reason=reason, actor=actor)

    def retry(self, steps: Sequence[str] = (), *, reason: str | None = None, actor: str | None = None) -> Retried:
        """Run what has failed again, with all its attempts before it, and what ended because of it; the run goes on.

        Args:
            steps: names of failed steps; none named are all.
            reason: kept with the steps' dead letters.
            actor: who asks.

        Returns:
            The names of the steps that were ``requeued`` and of those that were ``restored``, to wait again. Nothing,
            if none has failed of a run that goes on: somebody was first.

        Raises:
            NotDead: a step named has not failed, or the run has ended otherwise.
            StepNotFound: the run has no step of that name.
            RunNotFound: it is not there.
            InvalidInput: an argument is of the wrong form, or too long.
        """
        return self._lifecycle.retry(steps, reason=reason, actor=actor)

    def rerun(
        self,
        step: str,
        *,
        idempotency_key: str | None = None,
        reason: str | None = None,
        actor: str | None = None,
    ) -> "RunHandle":
        """Do a step of a run that has ended again, and all that comes after it, in a new run of the same version.

        The new run has the input of this one and the results of all steps that succeeded and do not come after
        ``step``; what had not succeeded is run as well. This run stays as it is.

        Args:
            step: the step's name.
            idempotency_key: the same key gives the same run, however often this is asked.
            reason: kept in the event log.
            actor: who asks; the new run's initiator.

        Raises:
            WrongState: this run has not ended.
            StepNotFound: it has no step of that name.
            IdempotencyConflict: the key belongs to another run.
            RunNotFound: it is not there.
            InvalidInput: an argument is of the wrong form, or too long.
        """
        submitted = self._lifecycle.rerun(step, idempotency_key=idempotency_key, reason=reason, actor=actor)
        return RunHandle(
            submitted.run_id,
            self._store,
            self._processor,
            input_limit=self._input_limit,
            created=submitted.created,
            explainer=self._explainer,
        )

    def resolve(self, step: str, result: Any, *, reason: str, actor: str | None = None) -> bool:
        """Say by hand what a step's result is: it has succeeded, and a run that had failed because of it goes on.

        An attempt that runs changes nothing any more. The result is not checked by the step's model.

        Args:
            step: the name of a step that has failed, or that is not finished and waits for no other step.
            result: JSON; what the steps after it get.
            reason: why; kept in the event log.
            actor: who says so.

        Returns:
            False if the step has succeeded with that very result.

        Raises:
            WrongState: the step waits for its parents, has another result, or ended because of another one.
            RunEnded: the run has succeeded, was cancelled or has expired.
            StepNotFound: the run has no step of that name.
            RunNotFound: it is not there.
            InvalidInput: ``result`` is not JSON or too large, or an argument is of the wrong form, or too long.
        """
        return self._lifecycle.resolve(step, result, self._input_limit, reason=reason, actor=actor)

    def update(self, *, actor: str | None = None, **changes: Any) -> tuple[str, ...]:
        """Change what is said about the run, which has not ended; what is not named stays as it is.

        Args:
            actor: who asks.
            **changes: ``priority`` (None: each step's own; it holds for what was not sent to workers yet), ``title``,
                ``description`` (None: none), ``tags`` (in place of those there were), ``metadata`` (merged into what
                there is; a key with None goes), ``due_at``, ``remind_before`` as for ``reschedule``.

        Returns:
            The names of what is different now.

        Raises:
            InvalidInput: nothing was named, or something out of bounds; the message names it. Nothing is changed.
            RunEnded: the run has ended.
            RunNotFound: it is not there.
        """
        return self._lifecycle.update(changes, actor)

    def delete(self, reason: str | None = None, *, actor: str | None = None) -> None:
        """Forget the run, which has ended: its steps, results, dead letters and signals. Its events stay in the log.

        Its idempotency key is free again.

        Raises:
            WrongState: it has not ended.
            RunNotFound: it is not there.
            InvalidInput: ``reason`` or ``actor`` is no text, or too long.
        """
        self._lifecycle.delete(reason=reason, actor=actor)

    def reschedule(
        self,
        *,
        due_at: datetime | Unsaid | None = UNCHANGED,
        remind_before: Sequence[float | timedelta] | Unsaid = UNCHANGED,
        actor: str | None = None,
    ) -> bool:
        """Say anew when the run is due and how long before that its reminders come; its timers move at once.

        Args:
            due_at: with a time zone; None: at no time, and without reminders. What is not given stays as it is.
            remind_before: seconds or timedeltas, in place of those there were; none: without reminders.
            actor: who asks.

        Returns:
            Whether that changed anything.

        Raises:
            InvalidInput: nothing was given, or something out of bounds; the message names it.
            RunEnded: the run has ended.
            RunNotFound: it is not there.
        """
        said = deadline_options(due_at=due_at, remind_before=remind_before, actor=actor)
        return bool(self._processor.execute(UpdateDeadline(run_id=self.id, **said)))

    def signal(self, name: str, payload: Any = None, *, actor: str | None = None, key: str | None = None) -> bool:
        """Give the run a signal: it completes the step that has waited for it longest, or is kept for the next one.

        Args:
            name: the signal's.
            payload: any JSON value; the step's result.
            actor: who sends it, for the audit.
            key: of the caller's choice: the run takes one signal with this key, however often it is sent.

        Returns:
            False if the run had the signal with this ``key`` already.

        Raises:
            RunEnded: the run has ended, or is being cancelled.
            RunNotFound: it is not there.
            InvalidInput: no step of its workflow waits for such a signal, ``payload`` is not JSON or too large, ``key``
                belongs to another signal of the run, or an argument is of the wrong form. Nothing is stored.
        """
        said = signal_options(name, actor, key)
        text = payload_as_json(payload, self._input_limit)
        command = DeliverSignal(run_id=self.id, name=said.name, payload=text, actor=said.actor, key=said.key)
        return bool(self._processor.execute(command))
