"""Reminders, deadlines and timeouts with real workers: told in time, or late rather than never; stopping what runs."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance import flows
from tests.support.processes import Stage, event_names, states, wait_until
from workflow_engine import AsyncClient, RunEnded, RunHandle

HOUR = timedelta(hours=1)


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def deadlines(run: RunHandle) -> list[str]:
    return [name for name in event_names(run) if name in {"run.due_soon", "run.overdue", "run.rescheduled"}]


def test_reminders_and_the_deadline_are_told_while_the_run_goes_on(running: Stage) -> None:
    run = running.submit(flows.gated, {"gate": "due"}, due_at=soon(2), remind_before=[timedelta(days=1), 0.5])

    wait_until(lambda: len(deadlines(run)) == 3)
    running.open_gate("due")

    assert run.wait(timeout=20).state == "succeeded"
    assert deadlines(run) == ["run.due_soon", "run.due_soon", "run.overdue"]
    at_once, in_time, overdue = (event for event in run.events() if event.name in {"run.due_soon", "run.overdue"})
    assert (at_once.data["before_seconds"], in_time.data["before_seconds"]) == (86_400, 0.5)
    due = run.record.due_at
    assert due is not None
    assert due - timedelta(seconds=0.5) <= in_time.occurred_at
    assert due <= overdue.occurred_at


def test_what_fell_due_while_no_coordinator_ran_is_told_when_one_starts(lonely_stage: Stage) -> None:
    stage = lonely_stage
    late = stage.submit(flows.diamond, {"n": 1}, timeout=0.1)
    waiting = stage.submit(flows.diamond, {"n": 1}, due_at=soon(2), remind_before=[1])
    wait_until(lambda: datetime.now(UTC) > (waiting.record.due_at or soon(0)))
    assert (deadlines(waiting), late.state) == ([], "pending")

    stage.start_coordinator()

    assert late.wait(timeout=20).state == "failed"
    wait_until(lambda: deadlines(waiting) == ["run.due_soon", "run.overdue"])
    assert waiting.cancel()


def test_a_run_that_takes_too_long_stops_what_asks_and_fails(running: Stage) -> None:
    run = running.submit(flows.gated, {"gate": "too slow"}, timeout=1)

    assert run.wait(timeout=20).state == "failed"

    assert states(run) == {"hold": "cancelled", "follow": "cancelled"}
    assert run.error == {
        "step": None,
        "error_class": "RunTimedOut",
        "message": "the run did not end within its timeout of 1 s",
    }
    assert event_names(run)[-1] == "run.failed"


def test_a_deadline_is_moved_while_the_run_waits_and_not_after_it(running: Stage) -> None:
    async def story(run_id: str) -> list[bool]:
        client = AsyncClient(running.settings)
        found = await client.run(run_id)
        answers = [
            await client.reschedule(run_id, due_at=soon(3_600), actor="ada"),
            await found.reschedule(remind_before=[60]),
            await found.reschedule(remind_before=[timedelta(minutes=1)]),
        ]
        await client.close()
        return answers

    run = running.submit(flows.gated, {"gate": "moved"}, due_at=soon(10), remind_before=[HOUR])
    assert asyncio.run(story(run.id)) == [True, True, False]
    running.open_gate("moved")
    run.wait(timeout=20)

    assert "run.overdue" not in deadlines(run)
    assert deadlines(run).count("run.rescheduled") == 2
    with pytest.raises(RunEnded, match="is succeeded"):
        run.reschedule(due_at=None)
