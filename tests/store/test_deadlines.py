"""When runs are due: reminders, and what is overdue, on real rows; moved and taken back."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.support.recording import RecordingDispatcher, claim, complete, event_names, fail, graph, run_all, submit
from workflow_engine import InvalidInput, RunEnded, RunNotFound, Workflow, compile_plan
from workflow_engine.engine.handlers.timer import KINDS
from workflow_engine.engine.processor import Processor
from workflow_engine.engine.timekeeper import TimekeeperService
from workflow_engine.ids import RunId, new_run_id
from workflow_engine.model.commands import CancelRun, FireTimers, RetrySteps, SubmitRun, UpdateDeadline
from workflow_engine.model.records import EventRecord
from workflow_engine.model.run_options import RunOptions
from workflow_engine.store.statements import statement
from workflow_engine.store.transaction import Store

HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
FAR = 100_000


def soon(length: timedelta = HOUR) -> datetime:
    return datetime.now(UTC) + length


def timers(store: Store) -> list[tuple[str, float | None]]:
    """Return kind and reminder of each timer, the first one due first."""
    with store.single() as tx:
        rows = tx.connection.execute("SELECT kind, data FROM timers ORDER BY due_at, id").fetchall()
    return [(row.kind, None if row.data is None else row.data["before"]) for row in rows]


def told(store: Store, run_id: RunId, *names: str) -> list[EventRecord]:
    with store.single() as tx:
        return [event for event in tx.views.events_of(run_id) if event.name in names]


def reminders(store: Store, run_id: RunId) -> list[float]:
    return [event.data["before_seconds"] for event in told(store, run_id, "run.due_soon")]


def let_pass(store: Store, length: timedelta) -> None:
    """Move every deadline and its timers nearer; as rows, so that nothing is set anew."""
    with store.transaction() as tx:
        tx.connection.execute("SET LOCAL session_replication_role = replica")
        tx.connection.execute("UPDATE runs SET due_at = due_at - %s WHERE due_at IS NOT NULL", [length])
        tx.connection.execute("UPDATE timers SET due_at = due_at - %s", [length])


def fire(processor: Processor) -> None:
    processor.execute(FireTimers(limit=1_000))


def test_a_run_without_a_deadline_has_no_timer(store: Store, processor: Processor) -> None:
    submit(processor, graph({"a": ()}))

    assert timers(store) == []


def test_reminders_come_in_their_order_and_then_the_run_is_overdue(store: Store, processor: Processor) -> None:
    due = soon(2 * DAY)
    run_id = submit(processor, graph({"a": ()}), due_at=due, remind_before=[600, DAY, HOUR])
    assert timers(store) == [("reminder", 86_400), ("reminder", 3_600), ("reminder", 600), ("overdue", None)]
    fire(processor)
    assert reminders(store, run_id) == []

    let_pass(store, DAY)
    fire(processor)
    assert reminders(store, run_id) == [86_400]
    let_pass(store, DAY - HOUR)
    fire(processor)
    fire(processor)
    assert reminders(store, run_id) == [86_400, 3_600]
    assert told(store, run_id, "run.overdue") == []
    let_pass(store, HOUR)
    fire(processor)

    events = told(store, run_id, "run.due_soon", "run.overdue")
    assert [event.name for event in events] == ["run.due_soon"] * 3 + ["run.overdue"]
    assert datetime.fromisoformat(events[-1].data["due_at"]) == due - 2 * DAY
    assert events[0].payload.event == "run.due_soon"
    assert timers(store) == []


def test_what_was_missed_while_nobody_fired_comes_at_once_and_is_told_apart(store: Store, processor: Processor) -> None:
    run_id = submit(processor, graph({"a": ()}), due_at=soon(), remind_before=[600, 1_200, 1_800])
    let_pass(store, 2 * HOUR)

    TimekeeperService(store, processor).run_once()

    events = told(store, run_id, "run.due_soon", "run.overdue")
    assert [event.data.get("before_seconds") for event in events] == [1_800, 1_200, 600, None]
    assert len({event.event_id for event in events}) == 4


def test_of_reminders_that_are_over_at_the_submit_one_comes_at_once(store: Store, processor: Processor) -> None:
    run_id = submit(processor, graph({"a": ()}), due_at=soon(10 * MINUTE), remind_before=[DAY, HOUR, 60])

    fire(processor)

    assert reminders(store, run_id) == [3_600]
    assert timers(store) == [("reminder", 60), ("overdue", None)]


def test_a_run_that_is_overdue_at_the_submit_is_only_that(store: Store, processor: Processor) -> None:
    run_id = submit(processor, graph({"a": ()}), due_at=soon(-HOUR), remind_before=[DAY, 60])

    fire(processor)

    assert event_names(store, run_id)["run.overdue", None] == 1
    assert reminders(store, run_id) == []


def test_each_timer_fires_once_however_many_try(store: Store, processor: Processor) -> None:
    runs = [submit(processor, graph({"a": ()}), due_at=soon(-MINUTE)) for _ in range(10)]

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: processor.execute(FireTimers(limit=3)), range(12)))

    assert [len(told(store, run_id, "run.overdue")) for run_id in runs] == [1] * 10


@pytest.mark.parametrize("end", ["complete", "fail", "cancel"])
def test_a_run_that_ends_takes_its_reminders_along(
    end: str, store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    run_id = submit(processor, graph({"a": ()}), due_at=soon(), remind_before=[60])
    message = dispatcher.take("a")
    if end == "cancel":
        processor.execute(CancelRun(run_id=run_id))
    else:
        claim(processor, message)
        {"complete": complete, "fail": fail}[end](processor, message)

    assert timers(store) == []


def test_a_timer_of_a_run_that_ended_meanwhile_tells_nothing(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    run_id = submit(processor, graph({"a": ()}))
    run_all(processor, dispatcher)
    with store.single() as tx:
        for kind, data in (("overdue", None), ("reminder", '{"before": 60}')):
            tx.connection.execute(
                "INSERT INTO timers (kind, due_at, run_id, data) VALUES (%s, now(), %s, %s)", [kind, run_id, data]
            )

    fire(processor)

    assert told(store, run_id, "run.overdue", "run.due_soon") == []
    assert timers(store) == []


def test_whoever_ends_a_run_does_not_wait_for_whoever_fires_its_timer(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    run_id = submit(processor, graph({"a": ()}), due_at=soon(-MINUTE))
    message = dispatcher.take("a")
    claim(processor, message)

    with store.transaction() as tx:
        assert len(tx.timers.take_due(["overdue"], 10)) == 1
        complete(processor, message)  # in a connection of its own
        assert tx.deadlines.find_due([(run_id, 0.0)]) == []

    assert timers(store) == []


def test_a_run_that_is_retried_has_its_deadline_again(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    run_id = submit(processor, graph({"a": ()}), due_at=soon(), remind_before=[60], timeout=HOUR)
    message = dispatcher.take("a")
    claim(processor, message)
    fail(processor, message)
    assert timers(store) == []

    processor.execute(RetrySteps(run_id=run_id))

    assert sorted(timers(store), key=str) == [("overdue", None), ("reminder", 60), ("run_timeout", None)]


@pytest.fixture
def reschedule(processor: Processor) -> Callable[..., bool]:
    def ask(run_id: RunId, **said: Any) -> bool:
        return bool(processor.execute(UpdateDeadline(run_id=run_id, actor="ada", **said)))

    return ask


def test_a_deadline_that_is_moved_takes_its_timers_along(
    store: Store, processor: Processor, reschedule: Callable[..., bool]
) -> None:
    first, second = soon(), soon(DAY)
    run_id = submit(processor, graph({"a": ()}), due_at=first, remind_before=[60, 600])

    assert [reschedule(run_id, due_at=second), reschedule(run_id, due_at=second)] == [True, False]

    assert timers(store) == [("reminder", 600), ("reminder", 60), ("overdue", None)]
    with store.single() as tx:
        moments = [row.due_at for row in tx.connection.execute("SELECT due_at FROM timers ORDER BY due_at")]
    assert moments == [second - 10 * MINUTE, second - MINUTE, second]
    (event,) = told(store, run_id, "run.rescheduled")
    said = event.data
    assert (said["remind_before_seconds"], said["actor"]) == ([600, 60], "ada")
    assert [datetime.fromisoformat(said[name]) for name in ("previous_due_at", "due_at")] == [first, second]


def test_reminders_that_stay_do_not_come_twice_and_new_ones_do(
    store: Store, processor: Processor, reschedule: Callable[..., bool]
) -> None:
    run_id = submit(processor, graph({"a": ()}), due_at=soon(30 * MINUTE), remind_before=[HOUR, 900])
    fire(processor)
    assert reminders(store, run_id) == [3_600]

    reschedule(run_id, remind_before=(HOUR, timedelta(seconds=600)))
    fire(processor)

    assert reminders(store, run_id) == [3_600]
    assert timers(store) == [("reminder", 600), ("overdue", None)]
    reschedule(run_id, due_at=soon(20 * MINUTE))  # another deadline: it reminds again
    fire(processor)
    assert reminders(store, run_id) == [3_600, 3_600]


def test_a_deadline_is_taken_back_and_given(
    store: Store, processor: Processor, reschedule: Callable[..., bool]
) -> None:
    run_id = submit(processor, graph({"a": ()}), due_at=soon(), remind_before=[60])

    assert reschedule(run_id, due_at=None)
    assert timers(store) == []
    with pytest.raises(InvalidInput, match="remind_before: needs a due_at"):
        reschedule(run_id, remind_before=(MINUTE,))
    assert reschedule(run_id, due_at=soon(), remind_before=(MINUTE,))
    assert timers(store) == [("reminder", 60), ("overdue", None)]
    assert reschedule(run_id, remind_before=())
    assert timers(store) == [("overdue", None)]
    with store.single() as tx:
        record = tx.views.find_run(run_id)
    assert record is not None
    assert record.remind_before == ()


def test_the_deadline_of_a_run_that_has_ended_stays(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher, reschedule: Callable[..., bool]
) -> None:
    run_id = submit(processor, graph({"a": ()}), due_at=soon())
    run_all(processor, dispatcher)

    with pytest.raises(RunEnded, match=f"run {run_id} is succeeded") as raised:
        reschedule(run_id, due_at=soon(DAY))
    assert raised.value.state == "succeeded"
    with pytest.raises(RunNotFound):
        reschedule(new_run_id(), due_at=soon(DAY))
    with store.transaction() as tx:
        assert not tx.deadlines.move(run_id, soon(DAY), ())
    assert told(store, run_id, "run.rescheduled") == []


def test_many_who_reschedule_at_once_leave_one_set_of_timers(
    store: Store, processor: Processor, reschedule: Callable[..., bool]
) -> None:
    run_id = submit(processor, graph({"a": ()}), due_at=soon(), remind_before=[60])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda number: reschedule(run_id, due_at=soon(number * HOUR)), range(2, 10)))

    assert timers(store) == [("reminder", 60), ("overdue", None)]
    assert len(told(store, run_id, "run.rescheduled")) == 8


def test_plain_sql_sets_and_moves_timers_too(store: Store, processor: Processor) -> None:
    run_id = submit(processor, graph({"a": ()}))
    with store.single() as tx:
        tx.connection.execute(
            "UPDATE runs SET due_at = now() + interval '1 day', remind_before = '{3600}' WHERE id = %s", [run_id]
        )
    assert timers(store) == [("reminder", 3_600), ("overdue", None)]
    with store.single() as tx, pytest.raises(psycopg.errors.CheckViolation):
        tx.connection.execute("UPDATE runs SET due_at = NULL WHERE id = %s", [run_id])


def test_a_submit_in_somebody_elses_transaction_has_its_timers_at_the_commit(
    store: Store, processor: Processor
) -> None:
    plan_id = processor.register(compile_plan(graph({"a": ()})))
    options = RunOptions(due_at=soon(), remind_before=[60])
    command = SubmitRun(run_id=new_run_id(), plan_id=plan_id, input="null", input_digest="-", options=options)

    with store.transaction() as tx:
        processor.execute_within(command, tx)
        assert timers(store) == []

    assert timers(store) == [("reminder", 60), ("overdue", None)]


@pytest.fixture
def notices(store: Store) -> Iterator[Callable[[], list[str]]]:
    """Hear what is told on the channel of timers."""
    with psycopg.connect(store.database.url, autocommit=True) as connection:
        connection.execute("LISTEN wfe_timers")
        yield lambda: [notice.payload for notice in connection.notifies(timeout=0.2)]


def commands(processor: Processor, workflow: Workflow, number: int, **options: Any) -> list[SubmitRun]:
    plan_id = processor.register(compile_plan(workflow))
    return [
        SubmitRun(run_id=new_run_id(), plan_id=plan_id, input="null", input_digest="-", options=RunOptions(**options))
        for _ in range(number)
    ]


def test_a_bulk_of_runs_with_deadlines_notifies_a_few_times(
    store: Store, processor: Processor, notices: Callable[[], list[str]], count_statements: Callable[[], int]
) -> None:
    bulk = commands(processor, graph({"a": ()}), 300, due_at=soon(30 * timedelta(seconds=1)), remind_before=[20, 10])
    bulk += commands(processor, graph({"a": ()}), 100, due_at=soon(-DAY))
    count_statements()

    processor.execute_all(bulk)

    assert count_statements() <= len(bulk) + 2
    assert len(timers(store)) == 300 * 3 + 100
    assert 1 <= len(notices()) <= 4


def test_overdue_deadlines_of_all_times_are_one_notice(
    store: Store, processor: Processor, notices: Callable[[], list[str]]
) -> None:
    runs = [submit(processor, graph({"a": ()})) for _ in range(3)]
    with store.single() as tx:
        tx.connection.execute(
            "INSERT INTO timers (kind, due_at, run_id) "
            "SELECT 'overdue', now() - make_interval(secs => number), %s FROM generate_series(1, 500) AS number",
            [runs[0]],
        )

    assert len(notices()) == 1


def test_a_hundred_thousand_far_timers_cost_nothing(
    store: Store, processor: Processor, count_statements: Callable[[], int], notices: Callable[[], list[str]]
) -> None:
    run_id = submit(processor, graph({"a": ()}), due_at=soon(-MINUTE))
    other = submit(processor, graph({"a": ()}))
    keeper = TimekeeperService(store, processor)
    count_statements()
    keeper.run_once()
    alone = count_statements()
    with store.single() as tx:
        tx.connection.execute(
            "INSERT INTO timers (kind, due_at, run_id) "
            "SELECT 'overdue', now() + make_interval(secs => 3600 + number), %s FROM generate_series(1, %s) AS number",
            [other, FAR],
        )
        tx.connection.execute("ANALYZE timers")
        tx.connection.execute("UPDATE runs SET due_at = now() - interval '2 minutes' WHERE id = %s", [run_id])
    notices()
    count_statements()

    pause = keeper.run_once()

    assert count_statements() == alone
    assert pause is not None
    assert pause > timedelta(minutes=59)
    assert len(told(store, run_id, "run.overdue")) == 2
    for name in ("take_due_timers", "next_timer"):
        plan = explain(store, name)
        assert "timers_due_idx" in plan
        assert "Seq Scan" not in plan


def explain(store: Store, name: str) -> str:
    with store.single() as tx:
        rows = tx.connection.execute(
            b"EXPLAIN (FORMAT JSON) " + statement(name), {"kinds": list(KINDS), "limit": 200}
        ).fetchall()
    return json.dumps([row[0] for row in rows])
