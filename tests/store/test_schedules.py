"""Schedules in the database: each command, each policy, and each occurrence once."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from tests.support.recording import RecordingDispatcher, claim, complete, graph, run_all, run_state
from workflow_engine import InvalidInput, ScheduleNotFound, Workflow, WorkflowNotFound
from workflow_engine.client.asynchronous import AsyncWorkflowClient
from workflow_engine.client.client import WorkflowClient
from workflow_engine.clock import SystemClock
from workflow_engine.definitions.registry import Registry
from workflow_engine.engine.announcer import Announcer
from workflow_engine.engine.processor import Processor
from workflow_engine.model.commands import FireTimers
from workflow_engine.model.records import EventRecord, RunRecord
from workflow_engine.model.schedule import OccurrenceRecord, ScheduleRecord
from workflow_engine.store.transaction import Store

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
EVERY_MINUTE = {"cron": "* * * * *"}


class Bench:
    """A client, a processor whose messages are kept, and a workflow of one step."""

    def __init__(self, store: Store, processor: Processor, dispatcher: RecordingDispatcher) -> None:
        self.store = store
        self.processor = processor
        self.broker = dispatcher
        self.workflow = graph({"only": ()})
        self.client = WorkflowClient(
            store, processor, Registry([self.workflow]), SystemClock(), namespace="default", input_limit=10_000
        )

    @property
    def now(self) -> datetime:
        """What time it is by PostgreSQL's clock."""
        with self.store.single() as tx:
            return tx.now()

    def create(self, name: str = "nightly", **values: Any) -> ScheduleRecord:
        values = {"cron": "0 3 * * *"} | values if not {"cron", "rrule"} & values.keys() else values
        return self.client.schedules.create(name, self.workflow, **values)

    def create_overdue(self, ago: timedelta, name: str = "minutely", **values: Any) -> ScheduleRecord:
        """Make a schedule of every minute that nobody fired since some time."""
        return self.create(name, start=self.now - ago, **{**EVERY_MINUTE, **values})

    def fire(self) -> int:
        """Fire what is due, until nothing is; return in how many transactions."""
        number = 0
        while self.processor.execute(FireTimers(limit=200)):
            number += 1
        return number

    def runs(self, **wanted: Any) -> list[RunRecord]:
        """Return the runs, the earliest occurrence first."""
        found = self.client.runs(limit=1_000, **wanted)
        return sorted(found, key=lambda run: run.scheduled_at or run.created_at)

    def occurrences(self, name: str = "minutely") -> list[OccurrenceRecord]:
        """Return what became of the occurrences, the earliest first."""
        return list(reversed(self.client.schedules.occurrences(name, limit=1_000)))

    def timers(self) -> list[Any]:
        with self.store.single() as tx:
            return tx.connection.execute("SELECT kind, due_at, schedule_id FROM timers ORDER BY due_at").fetchall()

    def notices(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the events about schedules, and what they say."""
        with self.store.single() as tx:
            events = tx.event_log.read(0, 10_000)
        return [(each.name, dict(each.payload.model_dump())) for each in events if each.name.startswith("schedule.")]


@pytest.fixture
def bench(store: Store, processor: Processor, dispatcher: RecordingDispatcher) -> Bench:
    return Bench(store, processor, dispatcher)


def test_a_schedule_is_stored_with_its_timer(bench: Bench) -> None:
    made = bench.create(
        cron="30 6 * * 1-5",
        time_zone="Europe/Berlin",
        input={"deep": [1]},
        priority="high",
        tags=["report"],
        metadata={"team": "a"},
        catch_up="none",
        overlap="skip",
        actor="ada",
    )

    found = bench.client.schedules.get("nightly")
    assert found == made
    assert (found.cron, found.rrule, found.time_zone) == ("30 6 * * 1-5", None, "Europe/Berlin")
    assert (found.input, found.workflow, found.version) == ({"deep": [1]}, bench.workflow.name, None)
    assert (found.catch_up, found.overlap, found.paused_at, found.last_at) == ("none", "skip", None, None)
    assert found.options == {"priority": 2, "tags": ["report"], "metadata": {"team": "a"}}
    assert found.next_at is not None
    assert found.next_at > bench.now
    assert [(each.kind, each.due_at, each.schedule_id) for each in bench.timers()] == [
        ("schedule", found.next_at, found.id)
    ]
    ((name, said),) = bench.notices()
    assert name == "schedule.created"
    assert said["actor"] == "ada"
    assert (said["rule"], said["next_at"]) == ("30 6 * * 1-5", found.next_at)


def test_an_occurrence_that_is_due_starts_a_run_at_once(bench: Bench) -> None:
    bench.create_overdue(timedelta(seconds=90), input=[1, 2], title="t", tags=["x"], metadata={"team": "a"})
    bench.fire()

    (run,) = bench.runs()
    occurs_at = run.scheduled_at
    assert occurs_at is not None
    assert (run.input, run.title, run.tags) == ([1, 2], "t", ["x"])
    assert run.metadata == {"team": "a", "schedule": "minutely"}
    assert run.correlation_id == f"minutely:{occurs_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    assert run.initiator == "schedule minutely"
    assert [message.run_id for message in bench.broker.sent] == [run.id]
    assert run_all(bench.processor, bench.broker) == ["only"]
    assert run_state(bench.store, run.id) == "succeeded"
    found = bench.client.schedules.get("minutely")
    assert found.last_at == occurs_at
    assert found.next_at == occurs_at + MINUTE
    assert [(each.occurs_at, each.until, each.run_id, each.skipped) for each in bench.occurrences()][-1] == (
        occurs_at,
        occurs_at,
        run.id,
        None,
    )


def test_all_that_was_missed_is_fired_a_hundred_in_a_transaction(bench: Bench) -> None:
    bench.create_overdue(4 * HOUR, catch_up="all")

    transactions = bench.fire()

    moments = [run.scheduled_at for run in bench.runs() if run.scheduled_at is not None]
    assert len(moments) in {240, 241}
    assert transactions == 3
    assert [each.occurs_at for each in bench.occurrences()] == moments
    assert [later - earlier for earlier, later in pairwise(moments)] == [MINUTE] * (len(moments) - 1)
    assert len(bench.broker.sent) == len(moments)
    fired = [said["occurs_at"] for name, said in bench.notices() if name == "schedule.fired"]
    assert fired == moments
    (timer,) = bench.timers()
    assert timer.due_at == bench.client.schedules.get("minutely").next_at > bench.now


def test_of_what_was_missed_only_the_latest_is_fired(bench: Bench) -> None:
    made = bench.create_overdue(4 * HOUR)

    assert bench.fire() == 1

    (run,) = bench.runs()
    assert run.scheduled_at is not None
    assert timedelta(0) <= bench.now - run.scheduled_at < 2 * MINUTE
    late, fired = bench.occurrences()
    assert (late.occurs_at, late.until, late.skipped) == (made.next_at, run.scheduled_at - MINUTE, "late")
    assert (fired.occurs_at, fired.run_id) == (run.scheduled_at, run.id)
    told = dict(bench.notices())
    assert told["schedule.skipped"] == {
        "schedule": "minutely",
        "occurs_at": late.occurs_at,
        "until": late.until,
        "because": "late",
    }
    assert told["schedule.fired"]["occurs_at"] == run.scheduled_at


def test_what_was_missed_is_skipped_if_nothing_is_to_be_made_up_for(bench: Bench) -> None:
    made = bench.create_overdue(4 * HOUR, catch_up="none")
    assert made.next_at is not None
    assert bench.now - made.next_at <= MINUTE  # what was missed before it was made is none of its business
    since = bench.now - 4 * HOUR
    with bench.store.single() as tx:
        tx.schedules.advance(made.id, next_at=since.replace(second=0, microsecond=0), last_at=None)

    bench.fire()

    runs = bench.runs()
    assert 1 <= len(runs) <= 2
    late = bench.occurrences()[0]
    assert (late.occurs_at, late.skipped) == (since.replace(second=0, microsecond=0), "late")
    assert late.until + MINUTE == runs[0].scheduled_at
    assert [run.id for run in runs] == [each.run_id for each in bench.occurrences()[1:]]


def test_many_schedules_share_the_hundred(bench: Bench) -> None:
    for number in range(3):
        bench.create_overdue(90 * MINUTE, name=f"s{number}", catch_up="all")

    bench.processor.execute(FireTimers(limit=200))
    assert len(bench.runs()) == 100
    bench.fire()

    counts = [len(bench.occurrences(f"s{number}")) for number in range(3)]
    assert all(each in {90, 91} for each in counts)
    assert len(bench.runs()) == sum(counts)
    assert len(bench.timers()) == 3


def test_runs_may_overlap_unless_the_schedule_says_otherwise(bench: Bench) -> None:
    bench.create_overdue(3 * MINUTE, catch_up="all")

    bench.fire()

    assert len(bench.runs(states=["pending"])) in {3, 4}


def rewind(bench: Bench, name: str = "minutely") -> datetime:
    """Make a schedule due again: its next occurrence is now, so that no full minute lies between it and the look."""
    moment = bench.now
    with bench.store.single() as tx:
        found = tx.schedules.find("default", name)
        assert found is not None
        tx.schedules.advance(found.id, next_at=moment, last_at=None)
    return moment


def test_an_occurrence_is_skipped_while_an_earlier_run_goes_on(bench: Bench) -> None:
    bench.create_overdue(MINUTE, overlap="skip")
    bench.fire()
    (run,) = bench.runs()
    message = bench.broker.take("only")
    assert claim(bench.processor, message) is not None

    skipped = rewind(bench)
    bench.fire()
    assert [each.id for each in bench.runs()] == [run.id]
    assert [(each.occurs_at, each.skipped) for each in bench.occurrences()][-1] == (skipped, "overlap")
    assert bench.notices()[-1][1]["because"] == "overlap"

    complete(bench.processor, message)
    rewind(bench)
    bench.fire()
    assert len(bench.runs()) == 2


def test_of_occurrences_that_come_together_only_the_first_is_fired_where_runs_are_skipped(bench: Bench) -> None:
    bench.create_overdue(10 * MINUTE, catch_up="all", overlap="skip")

    bench.fire()

    (run,) = bench.runs()
    fired, skipped = bench.occurrences()
    assert (fired.run_id, fired.occurs_at) == (run.id, run.scheduled_at)
    assert (skipped.occurs_at, skipped.skipped) == (fired.occurs_at + MINUTE, "overlap")
    assert bench.client.schedules.get("minutely").last_at == skipped.until


def test_the_earlier_run_is_cancelled_where_the_schedule_says_so(bench: Bench) -> None:
    bench.create_overdue(MINUTE, overlap="cancel_running")
    bench.fire()
    (first,) = bench.runs()
    running = bench.broker.take("only")
    assert claim(bench.processor, running) is not None

    rewind(bench)
    bench.fire()
    _, second = bench.runs()
    assert run_state(bench.store, first.id) == "cancelling"

    rewind(bench)
    bench.fire()
    *_, third = bench.runs()
    assert run_state(bench.store, second.id) == "cancelled"
    assert run_state(bench.store, third.id) == "pending"
    complete(bench.processor, running)
    assert run_state(bench.store, first.id) == "cancelled"
    cancelling = [each for each in bench.client.run(first.id).events() if each.name == "run.cancelling"]
    assert [each.data["actor"] for each in cancelling] == ["schedule minutely"]


def test_of_occurrences_that_come_together_only_the_last_is_fired_where_runs_are_cancelled(bench: Bench) -> None:
    bench.create_overdue(10 * MINUTE, catch_up="all", overlap="cancel_running")

    bench.fire()

    (run,) = bench.runs(states=["pending"])
    skipped, fired = bench.occurrences()
    assert fired.run_id == run.id
    assert (skipped.skipped, skipped.until) == ("overlap", fired.occurs_at - MINUTE)


def test_a_paused_schedule_fires_nothing_and_makes_up_for_nothing(bench: Bench) -> None:
    bench.create_overdue(HOUR, catch_up="all")

    paused = bench.client.schedules.pause("minutely", actor="ada")
    assert (paused.next_at, paused.paused_at is None) == (None, False)
    assert bench.timers() == []
    assert bench.fire() == 0
    assert bench.client.schedules.pause("minutely") == paused

    resumed = bench.client.schedules.resume("minutely", actor="bob")
    assert resumed.paused_at is None
    assert resumed.next_at is not None
    assert resumed.next_at > bench.now
    assert [each.due_at for each in bench.timers()] == [resumed.next_at]
    assert bench.client.schedules.resume("minutely") == resumed
    assert bench.runs() == []
    assert [(name, said["actor"]) for name, said in bench.notices()][1:] == [
        ("schedule.paused", "ada"),
        ("schedule.resumed", "bob"),
    ]


def test_a_change_takes_effect_at_once(bench: Bench) -> None:
    bench.create(cron="0 3 * * *", input={"a": 1}, title="t", priority="low")

    changed = bench.client.schedules.update(
        "nightly", rrule="FREQ=HOURLY;BYMINUTE=30", time_zone="Asia/Kolkata", overlap="skip", tags=["x"], actor="ada"
    )

    assert (changed.cron, changed.rrule, changed.overlap) == (None, "FREQ=HOURLY;BYMINUTE=30", "skip")
    assert (changed.input, changed.options) == ({"a": 1}, {"title": "t", "tags": ["x"], "priority": 0})
    assert changed.next_at is not None
    assert changed.next_at.astimezone(UTC).minute == 0
    assert [each.due_at for each in bench.timers()] == [changed.next_at]
    name, said = bench.notices()[-1]
    assert (name, said["changed"]) == ("schedule.updated", ["overlap", "rrule", "tags", "time_zone"])

    again = bench.client.schedules.update("nightly", input=[7], version="1")
    assert (again.input, again.version, again.next_at) == ([7], "1", changed.next_at)
    assert bench.client.schedules.update("nightly", version=None).version is None


def test_a_change_of_anything_but_the_rule_leaves_it_counting_from_where_it_did(bench: Bench) -> None:
    made = bench.create(rrule="FREQ=DAILY", cron=None)

    kept = bench.client.schedules.update("nightly", time_zone="Etc/GMT-1", end=SOON)
    begun = bench.client.schedules.update("nightly", rrule="FREQ=DAILY", start=SOON - HOUR)

    assert (kept.anchor_at, kept.ends_at) == (made.anchor_at, SOON)
    assert kept.next_at == made.anchor_at + timedelta(days=1)
    assert begun.anchor_at == begun.next_at == SOON - HOUR


def test_a_paused_schedule_that_is_changed_stays_paused(bench: Bench) -> None:
    bench.create()
    bench.client.schedules.pause("nightly")

    changed = bench.client.schedules.update("nightly", cron="0 4 * * *")

    assert (changed.cron, changed.next_at) == ("0 4 * * *", None)
    assert bench.timers() == []


def test_a_deleted_schedule_leaves_its_runs(bench: Bench) -> None:
    bench.create_overdue(3 * MINUTE, catch_up="all")
    bench.fire()
    runs = bench.runs()

    bench.client.schedules.delete("minutely", actor="ada")

    assert bench.timers() == []
    assert bench.runs() == runs
    assert bench.notices()[-1] == ("schedule.deleted", {"schedule": "minutely", "actor": "ada"})
    for act in (bench.client.schedules.get, bench.client.schedules.delete, bench.client.schedules.pause):
        with pytest.raises(ScheduleNotFound, match="no schedule 'minutely' is in namespace 'default'"):
            act("minutely")
    with bench.store.single() as tx:
        assert tx.connection.execute("SELECT 1 FROM occurrences").fetchall() == []


def test_a_schedule_that_has_ended_has_no_timer(bench: Bench) -> None:
    now = bench.now
    bench.create("short", cron="* * * * *", start=now - 10 * MINUTE, end=now - 5 * MINUTE, catch_up="all")

    bench.fire()

    found = bench.client.schedules.get("short")
    assert found.next_at is None
    assert found.last_at is not None
    assert bench.timers() == []
    assert len(bench.runs()) == 5
    assert bench.client.schedules.next("short") == []


def test_the_newest_version_runs_unless_one_is_pinned(bench: Bench) -> None:
    newer = Workflow(bench.workflow.name, version="2")
    newer.step(name="other")(lambda ctx: None)
    bench.create_overdue(2 * MINUTE, name="newest")
    bench.create_overdue(2 * MINUTE, name="pinned", version="1")
    bench.client.register(newer)

    bench.fire()

    assert {run.metadata["schedule"]: run.version for run in bench.runs()} == {"newest": "2", "pinned": "1"}


def test_a_timer_that_is_older_than_a_change_fires_nothing(bench: Bench) -> None:
    made = bench.create()
    with bench.store.single() as tx:
        tx.connection.execute(
            "INSERT INTO timers (kind, due_at, schedule_id) VALUES ('schedule', now() - interval '1 h', %s)", [made.id]
        )

    bench.fire()

    assert bench.runs() == []
    assert [each.due_at for each in bench.timers()] == [made.next_at]


def test_an_occurrence_is_fired_once_even_if_the_schedule_is_set_back(bench: Bench) -> None:
    made = bench.create_overdue(30 * MINUTE, catch_up="all")
    bench.fire()
    runs = bench.runs()
    with bench.store.single() as tx:
        tx.schedules.advance(made.id, next_at=made.next_at, last_at=None)

    bench.fire()

    assert bench.runs()[: len(runs)] == runs
    assert len(bench.runs()) == len(bench.occurrences())


def test_two_who_fire_at_once_and_one_who_changes_start_each_run_once(
    bench: Bench, store: Store, dispatcher: RecordingDispatcher
) -> None:
    for number in range(4):
        bench.create_overdue(2 * HOUR, name=f"s{number}", catch_up="all")
    others = [Processor(store, dispatcher) for _ in range(3)]

    def fire(processor: Processor) -> None:
        for _ in range(8):
            processor.execute(FireTimers(limit=2))

    def change() -> None:
        for number in range(12):
            bench.client.schedules.update(f"s{number % 4}", title=str(number))

    with ThreadPoolExecutor(4) as pool:
        for done in [*(pool.submit(fire, each) for each in others), pool.submit(change)]:
            done.result()
    bench.fire()

    runs = bench.runs()
    keys = [(run.metadata["schedule"], run.scheduled_at) for run in runs]
    assert len(set(keys)) == len(keys)
    for number in range(4):
        moments = [each.occurs_at for each in bench.occurrences(f"s{number}")]
        assert len(moments) in {120, 121}
        assert [moment for name, moment in sorted(keys) if name == f"s{number}"] == moments


def test_a_schedule_that_cannot_be_fired_is_in_nobodys_way(bench: Bench) -> None:
    broken = bench.create_overdue(2 * MINUTE, name="broken")
    bench.create_overdue(2 * MINUTE, name="sound")
    with bench.store.single() as tx:
        tx.connection.execute("UPDATE schedules SET time_zone = 'Nowhere/Land' WHERE id = %s", [broken.id])

    bench.processor.execute(FireTimers(limit=200))

    (run,) = bench.runs()
    assert run.metadata["schedule"] == "sound"
    with bench.store.single() as tx:
        tx.connection.execute("UPDATE schedules SET time_zone = 'UTC' WHERE id = %s", [broken.id])
        tx.connection.execute("UPDATE timers SET due_at = now() WHERE schedule_id = %s", [broken.id])
    bench.fire()
    assert len(bench.runs()) == 2


def test_old_occurrences_are_forgotten(bench: Bench) -> None:
    made = bench.create_overdue(2 * MINUTE)
    old = bench.now - timedelta(days=91)
    with bench.store.single() as tx:
        tx.connection.execute(
            "INSERT INTO occurrences (schedule_id, occurs_at, until, skipped) VALUES (%s, %s, %s, 'late')",
            [made.id, old, old],
        )

    bench.fire()

    assert old not in [each.occurs_at for each in bench.occurrences()]


def test_schedules_are_listed_by_name_in_pages_of_one_query_each(
    bench: Bench, count_statements: Callable[[], int]
) -> None:
    for name in ("c", "a", "e", "b", "d"):
        bench.create(name)
    count_statements()

    first = bench.client.schedules.list(limit=3)
    assert count_statements() == 1
    second = bench.client.schedules.list(limit=3, after=first[-1].name)

    assert count_statements() == 1
    assert [each.name for each in first] == ["a", "b", "c"]
    assert [each.name for each in second] == ["d", "e"]
    assert bench.client.schedules.list(workflow="other") == []
    assert len(bench.client.schedules.list(workflow=bench.workflow.name)) == 5


def test_firing_a_hundred_takes_a_bounded_number_of_statements(
    bench: Bench, count_statements: Callable[[], int]
) -> None:
    bench.create_overdue(95 * MINUTE, catch_up="all")
    count_statements()

    bench.processor.execute(FireTimers(limit=200))

    runs = len(bench.runs())
    assert count_statements() <= runs + 12  # one for each run, and a handful


def test_the_next_occurrences_are_told_also_of_a_paused_one(bench: Bench) -> None:
    bench.create(cron="0 3 * * *", time_zone="Europe/Berlin")
    bench.client.schedules.pause("nightly")

    found = bench.client.schedules.next("nightly", 3)

    assert len(found) == 3
    assert bench.now < found[0] < found[1] < found[2]


def test_a_name_is_taken_once_in_each_namespace(bench: Bench) -> None:
    made = bench.create()

    with pytest.raises(InvalidInput, match="name: a schedule 'nightly' is there already"):
        bench.create(cron="0 4 * * *")

    assert bench.client.schedules.get("nightly") == made


SOON = datetime(2030, 1, 1, tzinfo=UTC)
NEVER = [
    ({"cron": "0 0 30 2 *"}, "cron"),
    ({"cron": "* * * * * *"}, "cron"),
    ({"cron": ""}, "cron"),
    ({"cron": "0 0 * * *", "rrule": "FREQ=DAILY"}, "cron"),
    ({"cron": None}, "cron"),
    ({"rrule": "FREQ=SECONDLY"}, "rrule"),
    ({"rrule": "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"}, "rrule"),
    ({"rrule": "FREQ=DAILY;UNTIL=20200101"}, "rrule"),
    ({"rrule": "FREQ=DAILY;COUNT=0"}, "rrule"),
    ({"time_zone": "Mars/Olympus"}, "time_zone"),
    ({"time_zone": "UTC\x00"}, "time_zone"),
    ({"start": SOON, "end": SOON - HOUR}, "end"),
    ({"start": datetime(2030, 1, 1)}, "start"),  # noqa: DTZ001  without a zone
    ({"start": "tomorrow"}, "start"),
    ({"cron": "0 0 1 1 *", "start": SOON + HOUR, "end": SOON + 2 * HOUR}, "cron"),
    ({"cron": "0 0 * * *", "end": datetime(2020, 1, 1, tzinfo=UTC)}, "cron"),
    ({"catch_up": "some"}, "catch_up"),
    ({"overlap": "perhaps"}, "overlap"),
    ({"colour": "red"}, "colour"),
    ({"scheduled_at": SOON}, "scheduled_at"),
    ({"idempotency_key": "k"}, "idempotency_key"),
    ({"metadata": {"schedule": "x"}}, "metadata"),
    ({"title": "t" * 201}, "title"),
    ({"priority": "urgent"}, "priority"),
    ({"name": "n" * 101}, "name"),
    ({"name": ""}, "name"),
    ({"name": "a b"}, "name"),
    ({"name": "a\x00"}, "name"),
    ({"name": 7}, "name"),
    ({"actor": "a" * 201}, "actor"),
    ({"input": float("nan")}, "input"),
    ({"input": "\x00"}, "input"),
]


def refused(act: Callable[[], object]) -> str:
    """Return the field that is named when something is refused."""
    with pytest.raises(InvalidInput) as caught:
        act()
    return caught.value.field


def test_what_is_wrong_is_refused_by_its_name_and_nothing_is_stored(bench: Bench) -> None:
    found = [(values, refused(lambda values=values: bench.create(**values))) for values, _ in NEVER]

    assert found == NEVER
    assert bench.client.schedules.list() == []
    assert bench.timers() == []


def test_what_is_wrong_changes_nothing(bench: Bench) -> None:
    made = bench.create()
    wrong = [(values, field) for values, field in NEVER if "name" not in values]

    found = [
        (values, refused(lambda values=values: bench.client.schedules.update("nightly", **values)))
        for values, _ in wrong
    ]

    assert found == wrong
    with pytest.raises(WorkflowNotFound):
        bench.client.schedules.update("nightly", version="9")
    assert bench.client.schedules.get("nightly") == made


def test_an_unknown_workflow_is_refused_with_a_suggestion(bench: Bench) -> None:
    name = bench.workflow.name

    with pytest.raises(WorkflowNotFound, match=f"did you mean '{name}'"):
        bench.client.schedules.create("nightly", name[:-1], cron="0 3 * * *")
    with pytest.raises(InvalidInput, match="version"):
        bench.client.schedules.create("nightly", bench.workflow, cron="0 3 * * *", version="7")
    with pytest.raises(WorkflowNotFound, match="version '7'"):
        bench.client.schedules.create("nightly", name, cron="0 3 * * *", version="7")
    elsewhere = Workflow("elsewhere", namespace="other")
    elsewhere.step(name="only")(lambda ctx: None)
    with pytest.raises(InvalidInput, match="namespace"):
        bench.client.schedules.create("nightly", elsewhere, cron="0 3 * * *")

    assert bench.client.schedules.list() == []


def test_limits_are_checked(bench: Bench) -> None:
    bench.create()
    for act in (
        lambda: bench.client.schedules.list(limit=0),
        lambda: bench.client.schedules.next("nightly", 1_001),
        lambda: bench.client.schedules.occurrences("nightly", limit=True and 5_000),
    ):
        with pytest.raises(InvalidInput, match="must be from 1 to 1000"):
            act()
    with pytest.raises(ScheduleNotFound):
        bench.client.schedules.get("n" * 10_000)
    with pytest.raises(InvalidInput, match="name"):
        bench.client.schedules.get("\x00")


def test_the_database_refuses_a_schedule_that_cannot_be(bench: Bench) -> None:
    bench.create(start=SOON)

    for change in (
        "cron = NULL",
        "rrule = 'FREQ=DAILY'",
        "catch_up = 'x'",
        "overlap = 'x'",
        "paused_at = now()",
        "ends_at = starts_at",
    ):
        with bench.store.single() as tx, pytest.raises(psycopg.errors.CheckViolation):
            tx.connection.execute(f"UPDATE schedules SET {change}".encode())


def test_asyncio_has_the_same(bench: Bench) -> None:
    async def act() -> None:
        schedules = AsyncWorkflowClient(bench.client).schedules
        made = await schedules.create("nightly", bench.workflow, cron="0 3 * * *", actor="ada")
        assert await schedules.get("nightly") == made
        assert await schedules.list(limit=5) == [made]
        assert len(await schedules.next("nightly", 2)) == 2
        assert (await schedules.update("nightly", overlap="skip")).overlap == "skip"
        assert (await schedules.pause("nightly")).paused_at is not None
        assert (await schedules.resume("nightly")).paused_at is None
        assert await schedules.occurrences("nightly") == []
        await schedules.delete("nightly")
        with pytest.raises(ScheduleNotFound):
            await schedules.get("nightly")

    asyncio.run(act())


def test_inline_subscribers_hear_of_schedules(store: Store, dispatcher: RecordingDispatcher) -> None:
    heard: list[EventRecord] = []
    wanted = frozenset({"schedule.created", "schedule.skipped", "schedule.fired"})
    processor = Processor(store, dispatcher, announcer=Announcer(inline=heard.extend, wanted=wanted))
    bench = Bench(store, processor, dispatcher)

    bench.create_overdue(3 * MINUTE)
    bench.fire()

    assert sorted(each.name for each in heard) == ["schedule.created", "schedule.fired", "schedule.skipped"]
    with store.single() as tx:
        logged = {each.event_id: each for each in tx.event_log.read(0, 100) if each.name in wanted}
    assert {each.event_id: each.data for each in heard} == {each.event_id: each.data for each in logged.values()}
