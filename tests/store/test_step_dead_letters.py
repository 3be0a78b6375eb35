"""Steps that failed for good: kept, found, requeued and discarded, one by one and by the thousand."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.support.histories import DatabaseRows
from tests.support.recording import (
    RecordingDispatcher,
    claim,
    event_names,
    fail,
    graph,
    key,
    lose,
    run_all,
    run_state,
    submit,
)
from workflow_engine import DeadLetterNotFound, InvalidInput, NotDead, Workflow
from workflow_engine.client.asynchronous import AsyncDeadLetters
from workflow_engine.client.dead_letters import DeadLetters
from workflow_engine.engine.processor import Processor
from workflow_engine.ids import RunId, new_run_id
from workflow_engine.model.commands import CancelRun, FailStep, ProcessReadiness, StepError
from workflow_engine.model.dead_letters import DeadLetterState
from workflow_engine.store.transaction import Store

PAIR = graph({"a": (), "b": ("a",)})


@pytest.fixture
def letters(processor: Processor, store: Store) -> DeadLetters:
    """The dead letters of namespace ``default``."""
    return DeadLetters(store, processor, namespace="default")


def fail_once(
    processor: Processor, dispatcher: RecordingDispatcher, workflow: Workflow = PAIR, error: str = "Boom"
) -> RunId:
    """Run a workflow whose first step fails for good."""
    run_id = submit(processor, workflow)
    message = dispatcher.take("a")
    claim(processor, message)
    said = StepError(error_class=error, message="no", traceback="line 1")
    processor.execute(FailStep(**key(message), error=said, retry_in=None))
    return run_id


def test_what_is_known_of_a_failed_step_is_kept_with_its_failure(
    processor: Processor, dispatcher: RecordingDispatcher, letters: DeadLetters
) -> None:
    run_id = submit(processor, PAIR)
    first = dispatcher.take("a")
    claim(processor, first)
    fail(processor, first, retry_in=timedelta(0))
    processor.execute(ProcessReadiness(limit=1))
    second = dispatcher.take("a")
    claim(processor, second)
    fail(processor, second)

    (letter,) = letters.page()

    assert (letter.id, letter.run_id, letter.step) == (f"{run_id}/a", run_id, "a")
    assert (letter.workflow, letter.version, letter.namespace) == (PAIR.name, "1", "default")
    assert (letter.attempt, letter.attempts) == (2, 2)
    assert (letter.error_class, letter.message) == ("Boom", "no")
    assert (letter.state, letter.closed_at, letter.closed_by) == (DeadLetterState.DEAD, None, None)


def test_a_step_that_was_lost_too_often_is_dead(
    processor: Processor, dispatcher: RecordingDispatcher, letters: DeadLetters
) -> None:
    submit(processor, PAIR)
    for _ in range(3):
        message = dispatcher.take("a")
        claim(processor, message)
        lose(processor, message)
        processor.execute(ProcessReadiness(limit=1))

    (letter,) = letters.page()

    assert (letter.error_class, letter.message, letter.attempts) == ("WorkerLost", "killed", 3)


def test_an_attempt_that_is_tried_again_and_one_that_comes_late_leave_nothing(
    processor: Processor, dispatcher: RecordingDispatcher, letters: DeadLetters
) -> None:
    submit(processor, PAIR)
    message = dispatcher.take("a")
    claim(processor, message)
    fail(processor, message, retry_in=timedelta(0))
    fail(processor, message)

    assert letters.page() == []


def test_one_dead_letter_is_shown_with_its_traceback_and_what_befell_the_step(
    processor: Processor, dispatcher: RecordingDispatcher, letters: DeadLetters
) -> None:
    run_id = fail_once(processor, dispatcher)
    letters.requeue(f"{run_id}/a", reason="mended", actor="ada")

    found = letters.get(f"{run_id}/a")
    history = letters.history(f"{run_id}/a")

    assert found.traceback == "line 1"
    assert (found.state, found.closed_by, found.reason) == (DeadLetterState.REQUEUED, "ada", "mended")
    assert [event.name for event in history] == ["step.dispatched", "step.started", "step.failed", "step.requeued"]
    assert history[-1].data == {"was": "failed", "reason": "mended", "actor": "ada"}
    assert letters.page()[:1] == []
    assert [each.traceback for each in letters.page(states=[])] == [None]


def test_a_requeued_step_runs_and_its_run_succeeds(
    processor: Processor, dispatcher: RecordingDispatcher, letters: DeadLetters, store: Store
) -> None:
    run_id = fail_once(processor, dispatcher)

    closed = letters.requeue(f"{run_id}/a")
    processor.execute(ProcessReadiness(limit=1))

    assert closed.state is DeadLetterState.REQUEUED
    assert run_all(processor, dispatcher) == ["a", "b"]
    assert run_state(store, run_id) == "succeeded"


@pytest.mark.parametrize("first", ["requeue", "discard"])
@pytest.mark.parametrize("then", ["requeue", "discard"])
def test_a_dead_letter_is_closed_once(
    processor: Processor, dispatcher: RecordingDispatcher, letters: DeadLetters, store: Store, first: str, then: str
) -> None:
    run_id = fail_once(processor, dispatcher)
    getattr(letters, first)(f"{run_id}/a")
    before = event_names(store, run_id)

    with pytest.raises(NotDead, match=f"the dead letter {run_id}/a is not dead, but {first.removesuffix('e')}ed"):
        getattr(letters, then)(f"{run_id}/a")

    assert event_names(store, run_id) == before


def test_of_many_who_requeue_at_once_one_wins(
    processor: Processor, dispatcher: RecordingDispatcher, letters: DeadLetters, store: Store
) -> None:
    run_id = fail_once(processor, dispatcher)

    def requeue(number: int) -> bool:
        try:
            letters.requeue(f"{run_id}/a", actor=str(number))
        except NotDead:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(requeue, range(16)))

    assert sum(won) == 1
    assert letters.get(f"{run_id}/a").closed_by == str(won.index(True))
    assert event_names(store, run_id)["step.requeued", "a"] == 1


def test_pages_are_the_newest_first_without_gap_or_repetition(
    processor: Processor, dispatcher: RecordingDispatcher, letters: DeadLetters
) -> None:
    wide = graph(dict.fromkeys("abc", ()))
    for _ in range(3):
        submit(processor, wide)
    for message in list(dispatcher.sent):
        claim(processor, message)
    for message in list(dispatcher.sent):
        fail(processor, message)

    found, page = [], letters.page(limit=4)
    while page:
        found += page
        page = letters.page(limit=4, before=page[-1])

    assert len({letter.id for letter in found}) == 9
    assert [letter.failed_at for letter in found] == sorted((each.failed_at for each in found), reverse=True)


def test_dead_letters_are_found_by_workflow_step_error_run_and_state(
    processor: Processor, dispatcher: RecordingDispatcher, letters: DeadLetters
) -> None:
    other = graph({"a": ()})
    first = fail_once(processor, dispatcher)
    second = fail_once(processor, dispatcher, other, error="Declined")
    letters.discard(f"{first}/a")

    def found(**wanted: Any) -> list[RunId]:
        return [letter.run_id for letter in letters.page(**wanted)]

    assert found() == found(states=["dead"]) == [second]
    assert found(states=[]) == [second, first]
    assert found(states=["discarded", "requeued"]) == [first]
    assert found(workflow=other.name) == found(error_class="Declined") == found(run=second) == [second]
    assert found(step="b") == found(workflow=PAIR.name) == found(run=first) == found(error_class="Boom") == []


def test_a_page_is_one_statement_whatever_is_asked(
    processor: Processor, dispatcher: RecordingDispatcher, letters: DeadLetters, count_statements: Callable[[], int]
) -> None:
    for _ in range(5):
        fail_once(processor, dispatcher)
    for wanted in ({}, {"limit": 2}, {"workflow": PAIR.name}, {"states": ["dead", "discarded"]}):
        count_statements()
        assert letters.page(**wanted)
        assert count_statements() == 1


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1_001}, "limit"),
        ({"limit": True}, "limit"),
        ({"states": ["alive"]}, "states"),
        ({"run": "17"}, "run"),
        ({"workflow": "a\x00"}, "workflow"),
        ({"step": 3}, "step"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(letters: DeadLetters, wanted: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        letters.page(**wanted)

    assert refused.value.field == field


@pytest.mark.parametrize("name", ["", "x", "x/a", str(UUID(int=7)), f"{UUID(int=7)}/", None, 7])
def test_what_is_no_id_is_refused(letters: DeadLetters, name: Any) -> None:
    for ask in (letters.get, letters.history, letters.requeue, letters.discard):
        with pytest.raises(InvalidInput) as refused:
            ask(name)
        assert refused.value.field == "id"


def test_a_step_that_did_not_fail_has_none(
    processor: Processor, dispatcher: RecordingDispatcher, letters: DeadLetters
) -> None:
    run_id = fail_once(processor, dispatcher)
    for name in (f"{run_id}/b", f"{run_id}/nowhere", f"{new_run_id()}/a"):
        with pytest.raises(DeadLetterNotFound, match="has failed for good"):
            letters.requeue(name)


def test_another_namespace_does_not_see_or_touch_it(
    processor: Processor, dispatcher: RecordingDispatcher, letters: DeadLetters, store: Store
) -> None:
    run_id = fail_once(processor, dispatcher)
    theirs = DeadLetters(store, processor, namespace="theirs")

    with pytest.raises(DeadLetterNotFound):
        theirs.requeue(f"{run_id}/a")
    assert theirs.page(states=[]) == []
    assert theirs.requeue_all().done == theirs.discard_all(run=run_id).done == []
    assert letters.get(f"{run_id}/a").state is DeadLetterState.DEAD


def test_a_reason_that_is_too_long_is_refused_and_nothing_is_done(
    processor: Processor, dispatcher: RecordingDispatcher, letters: DeadLetters
) -> None:
    run_id = fail_once(processor, dispatcher)
    for act in (letters.requeue, letters.discard):
        with pytest.raises(InvalidInput, match="reason"):
            act(f"{run_id}/a", reason="x" * 3_000)
    with pytest.raises(InvalidInput, match="colour"):
        letters.requeue_all(colour="red")

    assert letters.get(f"{run_id}/a").state is DeadLetterState.DEAD


# Bulks


def test_a_bulk_requeues_what_fits_and_says_what_was_refused(
    processor: Processor, dispatcher: RecordingDispatcher, letters: DeadLetters, store: Store
) -> None:
    mended = [fail_once(processor, dispatcher, error="Timeout") for _ in range(3)]
    left = fail_once(processor, dispatcher, error="Declined")
    workflow = graph({"a": (), "z": ()}, on_failure="continue")
    stopped = fail_once(processor, dispatcher, workflow, error="Timeout")
    processor.execute(CancelRun(run_id=stopped))

    would = letters.requeue_all(error_class="Timeout", dry_run=True)
    assert {each.run_id for each in would.done} == {*mended, stopped}
    assert len(letters.page()) == 5

    handled = letters.requeue_all(error_class="Timeout", reason="mended", actor="ada")

    assert {each.run_id for each in handled.done} == set(mended)
    assert [(each.id, "but cancelled" in each.why) for each in handled.refused] == [(f"{stopped}/a", True)]
    assert {run_state(store, run_id) for run_id in mended} == {"running"}
    assert {each.run_id for each in letters.page()} == {left, stopped}


def test_a_bulk_requeues_all_steps_of_a_run_together(
    processor: Processor, dispatcher: RecordingDispatcher, letters: DeadLetters, store: Store
) -> None:
    run_id = submit(processor, graph({"a": (), "b": (), "c": ("a", "b")}, on_failure="continue"))
    for name in "ab":
        message = dispatcher.take(name)
        claim(processor, message)
        fail(processor, message)

    assert len(letters.requeue_all(run=run_id).done) == 2

    assert event_names(store, run_id)["run.retried", None] == 1
    processor.execute(ProcessReadiness(limit=10))
    run_all(processor, dispatcher)
    assert run_state(store, run_id) == "succeeded"


def test_a_bulk_reads_on_past_one_page(
    processor: Processor, dispatcher: RecordingDispatcher, letters: DeadLetters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflow_engine.client.dead_letters.PAGE_LIMIT", 2)
    for _ in range(5):
        fail_once(processor, dispatcher)

    assert len(letters.discard_all(workflow=PAIR.name, reason="old", actor="ada").done) == 5

    assert letters.page(limit=2) == []
    assert {each.reason for each in letters.page(states=["discarded"], limit=2)} == {"old"}


def test_the_asyncio_client_does_the_same(
    processor: Processor, dispatcher: RecordingDispatcher, letters: DeadLetters
) -> None:
    first, second, third = (fail_once(processor, dispatcher) for _ in range(3))
    theirs = AsyncDeadLetters(letters)

    async def work() -> None:
        assert len(await theirs.page(workflow=PAIR.name)) == 3
        assert (await theirs.get(f"{first}/a")).run_id == first
        assert (await theirs.requeue(f"{first}/a", actor="ada")).state is DeadLetterState.REQUEUED
        assert (await theirs.discard(f"{second}/a", reason="old")).state is DeadLetterState.DISCARDED
        assert (await theirs.history(f"{first}/a"))[-1].name == "step.requeued"
        assert [each.run_id for each in (await theirs.requeue_all(dry_run=True)).done] == [third]
        assert [each.run_id for each in (await theirs.discard_all(run=third)).done] == [third]

    asyncio.run(work())
    assert letters.page() == []


# The table


def test_dead_letters_go_with_their_run(
    processor: Processor, dispatcher: RecordingDispatcher, letters: DeadLetters, store: Store
) -> None:
    run_id = fail_once(processor, dispatcher)

    DatabaseRows(store.database).rows("DELETE FROM runs WHERE id = %s RETURNING id", run_id)

    assert letters.page(states=[]) == []


@pytest.fixture
def a_letter(processor: Processor, dispatcher: RecordingDispatcher, store: Store) -> Iterator[Callable[..., None]]:
    """Change the only row there is."""
    fail_once(processor, dispatcher)

    def change(assignment: str) -> None:
        DatabaseRows(store.database).rows(f"UPDATE step_dead_letters SET {assignment} RETURNING state")

    return change


@pytest.mark.parametrize("broken", ["state = 'asleep'", "state = 'requeued'", "closed_at = now()"])
def test_a_row_that_makes_no_sense_is_refused_by_the_database(a_letter: Callable[[str], None], broken: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        a_letter(broken)
