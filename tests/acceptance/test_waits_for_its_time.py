"""Runs scheduled for later start then, those that expire do not start at all; and asyncio callers block no loop."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import count

from tests.acceptance import flows
from tests.support.processes import Stage, event_names, states, wait_for_all, wait_until
from workflow_engine import AsyncClient


def test_a_run_scheduled_for_later_starts_then(running: Stage) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=1)

    run = running.submit(flows.diamond, {"n": 1}, scheduled_at=moment)

    assert states(run)["top"] == "ready"
    record = run.wait(timeout=20).record
    assert record.started_at is not None
    assert moment <= record.started_at < moment + timedelta(seconds=5)


def test_a_run_scheduled_for_the_past_starts_at_once(running: Stage) -> None:
    run = running.submit(flows.diamond, {"n": 1}, scheduled_at=datetime.now(UTC) - timedelta(days=1))

    assert run.wait(timeout=20).state == "succeeded"


def test_a_run_that_nobody_starts_in_time_expires(lonely_stage: Stage) -> None:
    stage = lonely_stage
    stage.start_coordinator()

    run = stage.submit(flows.diamond, {"n": 1}, expires_in=0.5)

    assert run.wait(timeout=10).state == "expired"
    assert set(states(run).values()) == {"cancelled"}
    assert event_names(run)[2:] == ["run.expired", *["step.cancelled"] * 4]


def test_a_run_that_began_in_time_does_not_expire(running: Stage) -> None:
    run = running.submit(flows.gated, {"gate": "in time"}, expires_in=0.8)
    running.wait_for_call(run, "hold")
    while datetime.now(UTC) < (run.record.expires_at or datetime.now(UTC)):
        running.submit(flows.diamond, {"n": 1}).wait(timeout=20)
    running.open_gate("in time")

    assert run.wait(timeout=20).state == "succeeded"


def test_a_retry_that_fell_due_while_no_coordinator_ran_happens_when_one_is_back(lonely_stage: Stage) -> None:
    stage = lonely_stage
    stage.start_worker("-c1")
    run = stage.submit(flows.flaky, {"failures": 1})
    others = [stage.submit(flows.diamond, {"n": number}) for number in range(5)]
    assert wait_for_all(others) == ["succeeded"] * 5  # the hot path needs no coordinator
    wait_until(lambda: states(run)["sometimes"] == "retrying")

    stage.start_coordinator()

    assert run.wait(timeout=20).state == "succeeded"


def test_several_coordinators_dispatch_each_attempt_once(lonely_stage: Stage) -> None:
    stage = lonely_stage
    for _ in range(3):
        stage.start_coordinator()
    stage.start_worker("-c2")

    runs = stage.client.submit_many(flows.flaky, [{"failures": 2}] * 20)

    assert wait_for_all(runs) == ["succeeded"] * 20  # and the checker counts what was dispatched


def test_asyncio_callers_submit_wait_and_read(running: Stage) -> None:
    ticks = count()

    async def tick() -> None:
        while True:
            next(ticks)
            await asyncio.sleep(0.005)

    async def story() -> tuple[str, dict[str, object], int, list[str]]:
        ticking = asyncio.create_task(tick())
        client = AsyncClient(running.settings)
        run = await client.submit(flows.diamond, {"n": 1}, title="from asyncio")
        told = [event.name async for event in run.follow(timeout=20)]
        assert (told[0], told[-1]) == ("run.submitted", "run.succeeded")
        await run.wait(timeout=20)
        many = await client.submit_many(flows.diamond, [{"n": number} for number in range(3)])
        await asyncio.gather(*(each.wait(timeout=20) for each in many))
        titles = [each.title or "" for each in await client.runs(limit=1_000)]
        found = await client.run(run.id)
        answer = (await found.state()).value, await found.result(), len(await found.steps()), titles
        ticking.cancel()
        await client.close()
        return answer

    state, result, steps, titles = asyncio.run(story())

    assert (state, result, steps) == ("succeeded", {"bottom": {"left": 2, "right": 2}}, 4)
    assert "from asyncio" in titles
    assert next(ticks) > 10  # the loop went round meanwhile


def test_what_a_submitter_says_about_a_run_is_kept(running: Stage) -> None:
    due = datetime(2100, 1, 1, tzinfo=UTC)

    run = running.submit(
        flows.diamond,
        {"n": 1},
        title="Order 17",
        description="for Ada",
        tags=["order", "eu"],
        metadata={"customer": {"id": 5}},
        agent="billing",
        initiator="ada",
        correlation_id="request-9",
        due_at=due,
    ).wait(timeout=20)

    record = run.record
    assert (record.title, record.description, record.agent, record.initiator) == (
        "Order 17",
        "for Ada",
        "billing",
        "ada",
    )
    assert (list(record.tags), record.metadata, record.due_at) == (["order", "eu"], {"customer": {"id": 5}}, due)
    assert {event.correlation_id for event in run.events()} == {"request-9"}
    assert [each.id for each in running.client.runs(tag="eu", states=["succeeded"])] == [run.id]
    wait_for_all([run])
