"""`wfe dead-letters`, where steps have failed for good and deliveries were given up."""

import getpass
import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.cli.running import CONTROL, Ended, wfe
from tests.support.recording import RecordingDispatcher, claim, graph, key, run_state, submit
from tests.support.relays import append
from workflow_engine.engine.processor import Processor
from workflow_engine.ids import RunId
from workflow_engine.model.commands import CancelRun, FailStep, StepError
from workflow_engine.store.deliveries import DeliveryState, TriedDelivery
from workflow_engine.store.transaction import Store

ME = f"{getpass.getuser()}@{socket.gethostname()}"
FLOW = graph({"charge": (), "ship": ("charge",)})
Wfe = Callable[..., Ended]


@pytest.fixture
def command(store: Store) -> Wfe:
    """Run a command on the database; it sends nothing, so no broker is needed."""
    urls = {"WFE_DATABASE_URL": store.database.url, "WFE_BROKER_URL": "redis://127.0.0.1:1/0"}
    return lambda *arguments: wfe("dead-letters", *arguments, **urls)


@pytest.fixture
def fail(processor: Processor, dispatcher: RecordingDispatcher) -> Callable[..., RunId]:
    """Run a workflow whose first step fails for good."""

    def fail_one(error: str = "Declined") -> RunId:
        run_id = submit(processor, FLOW)
        message = dispatcher.take("charge")
        claim(processor, message)
        said = StepError(error_class=error, message="no funds", traceback="Traceback: line 7")
        processor.execute(FailStep(**key(message), error=said, retry_in=None))
        return run_id

    return fail_one


@pytest.fixture
def delivery(store: Store) -> str:
    """A delivery that was given up: the id of its event."""
    (place,) = append(store, 1)
    with store.single() as tx:
        (event,) = [each for each in tx.event_log.read(0, 1_000) if each.position == place]
        error = StepError(error_class="Timeout", message="no answer")
        tx.deliveries.park("slack", [TriedDelivery(event=event, state=DeliveryState.DEAD, tries=3, error=error)])
    return event.event_id


def test_both_kinds_are_listed_and_each_says_which_it_is(
    command: Wfe, fail: Callable[..., RunId], delivery: str
) -> None:
    run_id = fail()

    rows = command("list", "--json").json
    shown = command("list").out

    assert [(row["kind"], row["id"]) for row in rows] == [("step", f"{run_id}/charge"), ("delivery", delivery)]
    assert shown.splitlines()[0].split() == ["STEP", "WORKFLOW", "FAILED", "ATTEMPTS", "STATE", "ERROR"]
    assert f"{run_id}/charge" in shown
    assert "Declined: no funds" in shown
    assert "slack" in shown
    assert not CONTROL.search(shown)
    assert [row["kind"] for row in command("list", "--kind", "step", "--json").json] == ["step"]
    assert [row["kind"] for row in command("list", "--kind", "delivery", "--json").json] == ["delivery"]
    assert [row["kind"] for row in command("list", "--subscriber", "slack", "--json").json] == ["delivery"]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--workflow", FLOW.name], 2),
        (["--workflow", "other"], 0),
        (["--step", "charge"], 2),
        (["--error", "Timeout"], 1),
        (["--state", "discarded"], 0),
        (["--state", "dead", "--state", "requeued", "--limit", "1"], 1),
    ],
)
def test_steps_are_listed_by_what_they_are(
    command: Wfe, fail: Callable[..., RunId], options: list[str], found: int
) -> None:
    fail()
    fail("Timeout")

    assert len(command("list", "--json", *options).json) == found


def test_a_list_may_be_longer_than_a_page(
    command: Wfe, fail: Callable[..., RunId], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflow_engine.cli.letters_of_steps.PAGE_LIMIT", 2)
    runs = [fail() for _ in range(5)]

    rows = command("list", "--json").json

    assert [row["run_id"] for row in rows] == runs[::-1]
    assert len(command("list", "--limit", "3", "--json").json) == 3


def test_one_step_is_shown_with_its_error_and_history(command: Wfe, fail: Callable[..., RunId]) -> None:
    name = f"{fail()}/charge"

    shown = command("show", name).out
    as_json = command("show", name, "--json").json

    assert "Declined: no funds" in shown
    assert "Traceback: line 7" in shown
    assert "charge" in shown
    assert "failed" in shown
    assert [event["name"] for event in as_json["history"]] == ["step.dispatched", "step.started", "step.failed"]
    assert (as_json["id"], as_json["attempts"], as_json["traceback"]) == (name, 1, "Traceback: line 7")


def test_a_step_is_requeued_and_its_run_goes_on(command: Wfe, fail: Callable[..., RunId], store: Store) -> None:
    run_id = fail()

    ended = command("requeue", f"{run_id}/charge", "--reason", "paid", "--json")

    assert ended.json == {"requeued": 1, "steps": [f"{run_id}/charge"], "refused": []}
    assert run_state(store, run_id) == "running"
    (closed,) = command("list", "--state", "requeued", "--json").json
    assert (closed["closed_by"], closed["reason"]) == (ME, "paid")


def test_a_step_that_is_not_dead_is_refused_by_name(command: Wfe, fail: Callable[..., RunId]) -> None:
    first, second = fail(), fail()
    command("discard", f"{first}/charge")

    ended = command("requeue", f"{first}/charge", f"{second}/charge")

    assert ended.code == 1
    assert ended.out == f"requeued {second}/charge\n"
    assert ended.err.startswith(f"refused {first}/charge: the dead letter {first}/charge is not dead, but discarded")


def test_steps_are_handled_by_the_dozen_after_a_look_at_which(
    command: Wfe, fail: Callable[..., RunId], store: Store, processor: Processor
) -> None:
    mended, stopped, left = fail("Timeout"), fail("Timeout"), fail()

    dry = command("requeue", "--error", "Timeout", "--dry-run")
    assert set(dry.out.splitlines()) == {f"would requeue {each}/charge" for each in (mended, stopped)}
    assert run_state(store, mended) == "failed"

    done = command("requeue", "--error", "Timeout", "--workflow", FLOW.name, "--actor", "ada")
    rest = command("discard", "--kind", "step", "--all", "--json")

    assert (done.code, set(done.out.splitlines())) == (0, {f"requeued {each}/charge" for each in (mended, stopped)})
    assert rest.json == {"discarded": 1, "steps": [f"{left}/charge"], "refused": []}
    assert {run_state(store, each) for each in (mended, stopped)} == {"running"}
    assert run_state(store, left) == "failed"


def test_what_a_cancelled_run_left_dead_can_only_be_discarded(
    command: Wfe, fail: Callable[..., RunId], processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    run_id = submit(processor, graph({"charge": (), "other": ()}, on_failure="continue"))
    message = dispatcher.take("charge")
    claim(processor, message)
    processor.execute(FailStep(**key(message), error=StepError(error_class="Boom", message="no"), retry_in=None))
    processor.execute(CancelRun(run_id=run_id))

    refused = command("requeue", "--run", run_id)

    assert refused.code == 1
    assert f"run {run_id} is not dead, but cancelled" in refused.err
    assert command("discard", "--run", run_id).code == 0


def test_deliveries_are_handled_as_before_and_with_a_dry_run(
    command: Wfe, fail: Callable[..., RunId], delivery: str
) -> None:
    run_id = fail()

    assert command("requeue", "--all", "--dry-run", "--json").json == {"would_requeue": 1, "subscribers": {"slack": 1}}
    assert command("requeue", delivery, "--dry-run").out == "would requeue 1 of slack\n"
    assert command("show", delivery, "--json").json[0]["subscriber"] == "slack"
    assert command("discard", "--all").out == "discarded 1 of slack\n"
    assert [row["id"] for row in command("list", "--json").json] == [f"{run_id}/charge"]


A_RUN = "01a1fcce-62e8-7dc7-b332-9160bd77770e"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["requeue"], 2, "say which"),
        (["requeue", "--kind", "step"], 2, "say which"),
        (["requeue", "--workflow", "w", "--all"], 2, "say which"),
        (["requeue", f"{A_RUN}/charge", "--step", "charge"], 2, "say which"),
        (["discard", "--all", "--reason", "old"], 2, "--reason is kept with steps"),
        (["discard", "--workflow", "w", "--subscriber", "slack"], 2, "one kind at a time"),
        (["discard", f"{A_RUN}/charge", A_RUN], 2, "one kind at a time"),
        (["list", "--kind", "delivery", "--state", "dead"], 2, "one kind at a time"),
        (["list", "--state", "alive"], 2, "'alive' is not one of"),
        (["list", "--run", "17"], 2, "'17' is not the id of a run"),
        (["requeue", "17/charge"], 2, "'17' is not the id of a run"),
        (["show", f"{A_RUN}/"], 2, "is not the id of a step's dead letter: RUN/STEP"),
        (["show", f"{A_RUN}/charge", "--subscriber", "slack"], 2, "--subscriber is about deliveries"),
        (["show", f"{A_RUN}/charge"], 1, f"no step 'charge' of a run {A_RUN} has failed for good"),
        (["requeue", f"{A_RUN}/charge"], 1, f"no step 'charge' of a run {A_RUN} has failed for good"),
        (["requeue", "--workflow", "nowhere"], 1, "no step that failed for good is as wanted"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_done(
    command: Wfe, fail: Callable[..., RunId], delivery: str, arguments: list[str], code: int, message: str
) -> None:
    fail()

    ended = command(*arguments)

    assert (ended.code, ended.out) == (code, "")
    assert message in ended.err
    assert len(command("list", "--json").json) == 2


def test_the_json_of_a_list_is_for_programs(command: Wfe, fail: Callable[..., RunId]) -> None:
    fail()
    (row,) = command("list", "--json").json
    expected: dict[str, Any] = {
        "step": "charge",
        "workflow": FLOW.name,
        "attempts": 1,
        "state": "dead",
        "closed_at": None,
    }

    assert row.items() >= expected.items()
    assert json.dumps(row)
