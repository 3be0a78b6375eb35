"""Each occurrence of a schedule starts one run, whoever of two coordinators is killed in the middle."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.fixtures.stages import StageMaker
from tests.support.processes import CoordinatorProcess, Stage, wait_until
from workflow_engine import StepContext, Workflow

MINUTE = timedelta(minutes=1)

tick = Workflow("tick")


@tick.step
def note(ctx: StepContext) -> str:
    """As in tick_app, whose import here would make a Celery app."""
    return ctx.correlation_id


def count(stage: Stage) -> int:
    return int(stage.rows("SELECT count(*) AS number FROM occurrences")[0].number)


def leader(coordinators: list[CoordinatorProcess]) -> CoordinatorProcess:
    """Return the coordinator that fires timers, by its own word; any, while none does."""
    return next((each for each in coordinators if "leads: " in each.log.read_text()), coordinators[0])


def tell_all(stage: Stage, names: list[str]) -> dict[str, list[Any]]:
    """Return the runs of each schedule, in the order of their occurrences."""
    rows = stage.rows(
        "SELECT runs.metadata ->> 'schedule' AS name, runs.id, runs.scheduled_at, occurrences.run_id, runs.state "
        "FROM runs LEFT JOIN occurrences ON occurrences.schedule_id = runs.schedule_id "
        "AND occurrences.occurs_at = runs.scheduled_at ORDER BY runs.scheduled_at"
    )
    return {name: [row for row in rows if row.name == name] for name in names}


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("schedules", "hours", "kills"), [(2, 2, 1), pytest.param(4, 10, 5, marks=pytest.mark.slow)])
def test_each_occurrence_once_whatever_is_killed(new_stage: StageMaker, schedules: int, hours: int, kills: int) -> None:
    names = [f"s{number}" for number in range(schedules)]
    expected = schedules * hours * 60
    with new_stage() as stage:
        coordinators = [stage.start_coordinator_process(ready=False) for _ in range(2)]
        for each in coordinators:
            each.wait_until_ready()
        now = stage.rows("SELECT clock_timestamp() AS now")[0].now
        for name in names:
            stage.client.schedules.create(
                name, tick, cron="* * * * *", start=now - hours * 60 * MINUTE, end=now, catch_up="all"
            )
        for number in range(1, kills + 1):
            wait_until(lambda number=number: count(stage) >= expected * number // (kills + 1), within=60)
            victim = leader(coordinators)
            victim.kill()
            coordinators.remove(victim)
            coordinators.append(stage.start_coordinator_process(ready=False))
        wait_until(lambda: not stage.rows("SELECT 1 FROM schedules WHERE next_at IS NOT NULL"), within=90)

        stage.start_worker(app="tests.acceptance.tick_app")
        wait_until(lambda: not stage.rows("SELECT 1 FROM runs WHERE finished_at IS NULL LIMIT 1"), within=250)

        for name, rows in tell_all(stage, names).items():
            moments = [row.scheduled_at for row in rows]
            assert len(moments) in {hours * 60, hours * 60 + 1}, name
            assert all(later - earlier == MINUTE for earlier, later in pairwise(moments))
            assert [row.run_id for row in rows] == [row.id for row in rows]
            assert {row.state for row in rows} == {"succeeded"}
        fired = stage.rows(
            "SELECT run_id, count(*) AS number FROM events WHERE name = 'schedule.fired' GROUP BY run_id"
        )
        assert {row.number for row in fired} == {1}
        assert len(fired) == count(stage)
