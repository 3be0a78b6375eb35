"""Steps that failed for good: find them, run them again, or give them up."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from workflow_engine.engine.processor import Processor
from workflow_engine.errors import DeadLetterNotFound, InvalidInput, NotDead, RunNotFound
from workflow_engine.ids import RunId
from workflow_engine.model.commands import DiscardSteps, RetrySteps
from workflow_engine.model.dead_letters import (
    DeadLetterPlace,
    DeadLetterState,
    StepDeadLetter,
    parse_dead_letter_id,
    parse_run_id,
)
from workflow_engine.model.records import EventRecord
from workflow_engine.model.run_options import CancelOptions, cancel_options, check_text
from workflow_engine.store.event_search import EventFilter, EventSearch
from workflow_engine.store.step_dead_letters import StepDeadLetterFilter
from workflow_engine.store.transaction import Store

PAGE_LIMIT: Final = 1_000
"""Dead letters that one page may hold."""
HISTORY_LIMIT: Final = 1_000
"""Events of a step that its history may hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A dead letter of a bulk that could not be requeued or discarded."""

    id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled:
    """What came of a bulk."""

    done: Sequence[StepDeadLetter]
    """Those that were requeued or discarded, as they were before; of a dry run those that would be tried."""
    refused: Sequence[Refused]


class DeadLetters:
    """The dead letters of a namespace's steps."""

    def __init__(self, store: Store, processor: Processor, *, namespace: str) -> None:
        """Use the given parts; ``Client().dead_letters`` is one."""
        self._store = store
        self._processor = processor
        self._namespace = namespace

    def page(
        self,
        *,
        workflow: str | None = None,
        step: str | None = None,
        error_class: str | None = None,
        run: str | None = None,
        states: Iterable[str] = (DeadLetterState.DEAD,),
        limit: int = 50,
        before: StepDeadLetter | DeadLetterPlace | None = None,
    ) -> list[StepDeadLetter]:
        """Return the newest dead letters that fit, without their tracebacks.

        Args:
            workflow: the name of a workflow.
            step: the name of a step.
            error_class: the name of the last attempt's exception class, such as ``ConnectionError``.
            run: the id of a run.
            states: ``dead``, ``requeued``, ``discarded``; none is all.
            limit: how many at most, 1 to 1,000.
            before: the last one of the page before, or its place.

        Raises:
            InvalidInput: an argument is of the wrong form; the message names it.
        """
        _check_limit(limit)
        wanted = self._filter(workflow=workflow, step=step, error_class=error_class, run=run)
        wanted = replace(wanted, states=[_state(each) for each in states] or list(DeadLetterState), before=before)
        with self._store.single() as tx:
            return tx.step_dead_letters.page(wanted, limit)

    def get(self, id: str) -> StepDeadLetter:  # noqa: A002  as everywhere else
        """Return the newest dead letter of a step, by its id: ``RUN/STEP``.

        Raises:
            InvalidInput: that is no id.
            DeadLetterNotFound: the step has none.
        """
        run_id, step = parse_dead_letter_id(id)
        with self._store.single() as tx:
            found = tx.step_dead_letters.newest(run_id, check_text("id", step))
        if found is None or found.namespace != self._namespace:
            raise DeadLetterNotFound(f"no step {step!r} of a run {run_id} has failed for good")
        return found

    def history(self, id: str) -> list[EventRecord]:  # noqa: A002
        """Return what befell a step, oldest first: its attempts, their errors, who requeued or discarded it.

        Raises:
            InvalidInput: that is no id.
            DeadLetterNotFound: the step has no dead letter.
        """
        letter = self.get(id)
        wanted = EventFilter(run_id=letter.run_id, step=letter.step)
        with self._store.single() as tx:
            return EventSearch(tx.connection).newest(wanted, HISTORY_LIMIT, until=tx.event_log.head())

    def requeue(self, id: str, *, reason: str | None = None, actor: str | None = None) -> StepDeadLetter:  # noqa: A002
        """Run a failed step again, with all its attempts before it, and what had ended because of it; its run goes on.

        Steps that depend on another failed step stay as they are, and the run fails again unless that one is requeued
        too. Returns the dead letter, closed.

        Raises:
            InvalidInput: that is no id, or ``reason`` or ``actor`` no text, or too long.
            DeadLetterNotFound: the step has no dead letter.
            NotDead: it was requeued or discarded before, or the run was cancelled; nothing is changed.
        """
        return self._close_one(id, _retry, cancel_options(reason, actor))

    def discard(self, id: str, *, reason: str | None = None, actor: str | None = None) -> StepDeadLetter:  # noqa: A002
        """Give a failed step up for good; the run stays as it is. Returns the dead letter, closed.

        Raises:
            InvalidInput: that is no id, or ``reason`` or ``actor`` no text, or too long.
            DeadLetterNotFound: the step has no dead letter.
            NotDead: it was requeued or discarded before.
        """
        return self._close_one(id, _discard, cancel_options(reason, actor))

    def requeue_all(
        self,
        *,
        dry_run: bool = False,
        reason: str | None = None,
        actor: str | None = None,
        most: int | None = None,
        **wanted: str | None,
    ) -> Handled:
        """Requeue every dead letter that fits; all there are, if nothing is said of them.

        Each run is one transaction: its steps are requeued together, or refused together.

        Args:
            dry_run: say what would be tried, and do nothing.
            reason: why; kept with each, and in the events.
            actor: who.
            most: how many at most, the newest; None: all.
            **wanted: ``workflow``, ``step``, ``error_class``, ``run``, as for ``page``.

        Raises:
            InvalidInput: an argument is of the wrong form; nothing is changed.
        """
        return self._close_all(_retry, cancel_options(reason, actor), self._dead(wanted, most), dry_run=dry_run)

    def discard_all(
        self,
        *,
        dry_run: bool = False,
        reason: str | None = None,
        actor: str | None = None,
        most: int | None = None,
        **wanted: str | None,
    ) -> Handled:
        """Discard every dead letter that fits; arguments and errors as for ``requeue_all``."""
        return self._close_all(_discard, cancel_options(reason, actor), self._dead(wanted, most), dry_run=dry_run)

    def _close_one(self, id: str, command: "_MakeCommand", said: CancelOptions) -> StepDeadLetter:  # noqa: A002
        letter = self.get(id)
        if letter.state is not DeadLetterState.DEAD:
            raise NotDead(f"the dead letter {letter.id}", letter.state)
        self._processor.execute(command(letter.run_id, [letter.position], said))
        return self.get(id)

    def _close_all(
        self, command: "_MakeCommand", said: CancelOptions, letters: list[StepDeadLetter], *, dry_run: bool
    ) -> Handled:
        if dry_run:
            return Handled(done=letters, refused=())
        by_run: dict[RunId, list[StepDeadLetter]] = defaultdict(list)
        for letter in letters:
            by_run[letter.run_id].append(letter)
        done: list[StepDeadLetter] = []
        refused: list[Refused] = []
        for run_id, its_letters in by_run.items():
            try:
                self._processor.execute(command(run_id, sorted(each.position for each in its_letters), said))
            except (NotDead, RunNotFound) as error:
                refused += [Refused(id=each.id, why=str(error)) for each in its_letters]
            else:
                done += its_letters
        return Handled(done=done, refused=refused)

    def _dead(self, said: dict[str, str | None], most: int | None) -> list[StepDeadLetter]:
        """Return those that fit, the newest first, page by page."""
        wanted = self._filter(**said)
        found: list[StepDeadLetter] = []
        while most is None or len(found) < most:
            limit = PAGE_LIMIT if most is None else min(PAGE_LIMIT, most - len(found))
            with self._store.single() as tx:
                page = tx.step_dead_letters.page(wanted, limit)
            found += page
            if len(page) < limit:
                break
            wanted = replace(wanted, before=page[-1])
        return found

    def _filter(self, **wanted: str | None) -> StepDeadLetterFilter:
        unknown = wanted.keys() - {"workflow", "step", "error_class", "run"}
        if unknown:
            raise InvalidInput(min(unknown), "is not among workflow, step, error_class, run")
        named = {name: check_text(name, value) for name, value in wanted.items() if value is not None}
        return StepDeadLetterFilter(
            namespace=self._namespace,
            workflow=named.get("workflow"),
            step=named.get("step"),
            error_class=named.get("error_class"),
            run_id=parse_run_id(named["run"]) if "run" in named else None,
        )


_MakeCommand = Callable[[RunId, Sequence[int], CancelOptions], RetrySteps | DiscardSteps]


def _retry(run_id: RunId, positions: Sequence[int], said: CancelOptions) -> RetrySteps:
    return RetrySteps(run_id=run_id, positions=positions, reason=said.reason, actor=said.actor)


def _discard(run_id: RunId, positions: Sequence[int], said: CancelOptions) -> DiscardSteps:
    return DiscardSteps(run_id=run_id, positions=positions, reason=said.reason, actor=said.actor)


def _check_limit(limit: object) -> None:
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= PAGE_LIMIT:
        raise InvalidInput("limit", f"must be from 1 to {PAGE_LIMIT}, not {limit!r}")


def _state(name: str) -> DeadLetterState:
    try:
        return DeadLetterState(name)
    except ValueError:
        raise InvalidInput("states", f"must be among {', '.join(DeadLetterState)}, not {name!r}") from None
