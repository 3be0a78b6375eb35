"""Each event of the catalogue has one typed function, and what it publishes fits the event's schema."""

import inspect
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.recording import graph
from tests.support.schedules import a_schedule
from workflow_engine import compile_plan
from workflow_engine.engine import publisher
from workflow_engine.ids import RunId
from workflow_engine.model.commands import StepError
from workflow_engine.model.events import CATALOGUE, MESSAGE_LIMIT, Event
from workflow_engine.model.records import AttemptTimes, RunTimes
from workflow_engine.model.run import RunState
from workflow_engine.model.schedule import Skipped, SkipReason
from workflow_engine.model.step import StepState

PLAN = compile_plan(graph({"a": (), "b": ("a",)}))
LONG = "x" * 10_000 + "\N{SNOWMAN}"
ERROR = StepError(error_class="Boom", message=LONG, traceback="secret")
MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)
RUN = RunTimes(submitted_at=MOMENT, started_at=None)
TRY = AttemptTimes(dispatched_at=MOMENT, started_at=MOMENT)
SCHEDULE = a_schedule(rrule="FREQ=DAILY;BYHOUR=" + "1," * 150 + "2", cron=None)
SKIPPED = Skipped(first=MOMENT, last=MOMENT, reason=SkipReason.LATE)
PUBLISH: dict[str, Callable[[], Event]] = {
    "run.submitted": lambda: publisher.run_submitted(PLAN, "ada"),
    "run.started": lambda: publisher.run_started("w", "1"),
    "run.succeeded": lambda: publisher.run_succeeded(PLAN, RUN),
    "run.failed": lambda: publisher.run_failed(PLAN, RUN, "a", ERROR),
    "run.cancelling": lambda: publisher.run_cancelling(LONG, "ada", 2),
    "run.cancelled": lambda: publisher.run_cancelled(PLAN, RUN),
    "run.expired": lambda: publisher.run_expired(PLAN, RUN),
    "run.stale": lambda: publisher.run_stale(MOMENT, 600.0, "no_worker", "a"),
    "run.retried": lambda: publisher.run_retried(PLAN, steps=1, reason=LONG, actor="ada"),
    "run.due_soon": lambda: publisher.run_due_soon(PLAN, MOMENT, 600.0),
    "run.overdue": lambda: publisher.run_overdue(PLAN, MOMENT),
    "run.rescheduled": lambda: publisher.run_rescheduled(
        PLAN, due_at=None, remind_before=(), previous_due_at=MOMENT, actor="ada"
    ),
    "run.updated": lambda: publisher.run_updated(PLAN, ["title", "metadata"], "ada"),
    "run.deleted": lambda: publisher.run_deleted(PLAN, RunState.FAILED, LONG, "ada"),
    "run.paused": lambda: publisher.run_paused(LONG, "ada", 2),
    "run.resumed": lambda: publisher.run_resumed(RunState.PENDING, LONG, "ada"),
    "run.repeated": lambda: publisher.run_repeated(
        PLAN, rerun_of=RunId("r"), step="a", reused=1, reason=LONG, actor="ada"
    ),
    "step.reused": lambda: publisher.step_reused("a", RunId("r")),
    "step.resolved": lambda: publisher.step_resolved("a", 2, was=StepState.FAILED, reason=LONG, actor="ada"),
    "step.dispatched": lambda: publisher.step_dispatched("a", 1, "q", "submit"),
    "step.released": lambda: publisher.step_released("a", LONG),
    "step.started": lambda: publisher.step_started("a", 2, "celery@host"),
    "step.suspended": lambda: publisher.step_suspended("a", 2, MOMENT, "approved"),
    "step.resumed": lambda: publisher.step_resumed("a", 2, "timeout"),
    "signal.received": lambda: publisher.signal_received("approved", "ada"),
    "step.completed": lambda: publisher.step_completed("a", 2, TRY, 1 / 3),
    "step.retrying": lambda: publisher.step_retrying("a", 2, TRY, ERROR, 1.5),
    "step.lost": lambda: publisher.step_lost("a", 2, TRY, LONG),
    "step.failed": lambda: publisher.step_failed("a", 2, TRY, ERROR),
    "step.skipped": lambda: publisher.step_skipped("b", "a"),
    "step.cancelled": lambda: publisher.step_cancelled("b", "the run was cancelled"),
    "step.requeued": lambda: publisher.step_requeued("a", 2, was=StepState.FAILED, reason=LONG, actor="ada"),
    "step.restored": lambda: publisher.step_restored("b", was=StepState.SKIPPED, missing=1),
    "step.discarded": lambda: publisher.step_discarded("a", 2, reason=LONG, actor="ada"),
    "schedule.created": lambda: publisher.schedule_created(SCHEDULE, "ada"),
    "schedule.updated": lambda: publisher.schedule_updated(SCHEDULE, ["cron"], "ada"),
    "schedule.paused": lambda: publisher.schedule_paused("tick", "ada"),
    "schedule.resumed": lambda: publisher.schedule_resumed(SCHEDULE, "ada"),
    "schedule.deleted": lambda: publisher.schedule_deleted("tick", None),
    "schedule.fired": lambda: publisher.schedule_fired("tick", MOMENT, timedelta(seconds=1 / 3)),
    "schedule.skipped": lambda: publisher.schedule_skipped("tick", SKIPPED),
    "subscriber.dead_lettered": lambda: publisher.subscriber_dead_lettered(
        "slack",
        event_id="019b0c1e-0c00-7000-8000-00000000002a",
        event_name="run.failed",
        tries=3,
        error_class="Boom",
        message=LONG,
    ),
    "subscriber.requeued": lambda: publisher.subscriber_requeued("slack", 3, "ada"),
    "subscriber.discarded": lambda: publisher.subscriber_discarded("slack", 3, "ada"),
    "subscriber.replayed": lambda: publisher.subscriber_replayed("slack", 47, "ada"),
}


def test_every_event_is_published_by_the_function_of_its_name_and_by_no_other() -> None:
    functions = {
        name
        for name, value in vars(publisher).items()
        if inspect.isfunction(inspect.unwrap(value))
        and not name.startswith("_")
        and value.__module__.startswith(publisher.__name__)
    }

    assert functions == {name.replace(".", "_") for name in CATALOGUE}
    assert set(PUBLISH) == set(CATALOGUE)


@pytest.mark.parametrize("name", CATALOGUE)
def test_what_is_published_fits_its_schema(name: str) -> None:
    event = PUBLISH[name]()

    assert event.name == name
    payload = CATALOGUE[name].model_validate_json(event.data)
    assert payload.model_dump_json() == event.data
    assert (event.step is not None) == name.startswith("step.")


@pytest.mark.parametrize("name", CATALOGUE)
def test_an_event_is_bounded_and_tells_no_secrets(name: str) -> None:
    data = json.loads(PUBLISH[name]().data)

    assert all(len(value) <= MESSAGE_LIMIT for value in data.values() if isinstance(value, str))
    assert not data.keys() & {"input", "result", "results", "output", "traceback"}
    assert "secret" not in json.dumps(data)


def test_messages_that_many_steps_share_are_made_once() -> None:
    first = publisher.step_started("a", 1, "w").data

    assert publisher.step_started("b", 2, "w").data is first
    assert publisher.run_started("w", "1") is publisher.run_started("w", "1")
