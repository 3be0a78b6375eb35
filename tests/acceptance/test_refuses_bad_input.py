"""What cannot work is refused at the door, with the name of what to change; nothing is stored."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.acceptance import flows
from tests.support.processes import ROOT, Stage
from workflow_engine import (
    Client,
    ConfigurationError,
    DatabaseNotMigrated,
    DatabaseUnavailable,
    DefinitionError,
    InvalidInput,
    RunNotFound,
    Settings,
    Workflow,
    WorkflowEngineError,
    WorkflowNotFound,
)
from workflow_engine.store import database


def count_runs(stage: Stage) -> int:
    """Return how many runs there are."""
    return int(stage.rows("SELECT count(*) AS number FROM runs")[0].number)


def recursive() -> Any:
    """Return a value that contains itself."""
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (object(), "is not JSON"),
        ({1, 2}, "is not JSON"),
        (float("nan"), "is not JSON"),
        (float("inf"), "is not JSON"),
        (b"bytes", "is not JSON"),
        (recursive(), "is not JSON"),
        ("a\x00b", "NUL character"),
        ({"a\x00": 1}, "NUL character"),
        ("\ud800", "lone surrogate"),
        ("x" * 2_000_000, "the limit is 1048576"),
        (["\N{PILE OF POO}" * 300_000], "the limit is 1048576"),
    ],
    ids=lambda value: repr(value)[:12],
)
def test_an_input_that_cannot_be_stored_is_refused(running: Stage, value: Any, reason: str) -> None:
    before = count_runs(running)

    with pytest.raises(InvalidInput, match=reason) as refused:
        running.submit(flows.diamond, value)

    assert refused.value.field == "input"
    assert count_runs(running) == before


@pytest.mark.parametrize("value", ["\\u0000", {"path": "C:\\u0000"}, "\N{PILE OF POO}", 10**40, 1e-320, ""])
def test_an_input_that_only_looks_dangerous_comes_back_as_it_was(running: Stage, value: Any) -> None:
    run = running.submit(flows.echo, value).wait(timeout=20)

    assert run.result == {"same": value}


def test_an_input_that_breaks_the_model_is_refused_field_by_field(running: Stage) -> None:
    with pytest.raises(InvalidInput, match=r"^input: order_id: .*valid integer.*; currency: .*valid string"):
        running.submit(flows.strict, {"order_id": "seventeen", "currency": 3})


def test_the_model_completes_an_input_and_handlers_get_it_as_the_model(running: Stage) -> None:
    run = running.submit(flows.strict, {"order_id": "17"}).wait(timeout=20)

    assert run.record.input == {"order_id": 17, "currency": "EUR"}
    assert run.result == {"pay": {"paid": True}}


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("object", "is not JSON"),
        ("nan", "is not JSON"),
        ("nul", "NUL character"),
        ("large", "the limit is"),
    ],
)
def test_a_result_that_cannot_be_stored_fails_its_step_at_once(small_results: Stage, what: str, message: str) -> None:
    run = small_results.submit(flows.careless, {"what": what}).wait(timeout=20)

    assert run.state == "failed"
    assert run.error is not None
    assert run.error["error_class"] == "ResultNotStorable"
    assert message in run.error["message"]
    assert len(small_results.traced(run)) == 1


def test_a_result_that_breaks_its_model_fails_its_step_at_once(running: Stage) -> None:
    run = running.submit(flows.strict, {"order_id": -1}).wait(timeout=20)

    assert run.error is not None
    assert run.error["error_class"] == "ResultNotStorable"
    assert "paid: Input should be a valid boolean" in run.error["message"]
    assert len(running.traced(run)) == 1


def test_an_unknown_workflow_is_refused_with_the_closest_name(running: Stage) -> None:
    running.submit(flows.diamond, {"n": 1}).wait(timeout=20)

    with pytest.raises(WorkflowNotFound, match=r"'dimond' is not known.*'diamond'"):
        running.submit("dimond")
    with pytest.raises(WorkflowNotFound, match="'diamond' version '9'"):
        running.submit("diamond", version="9")


TOMORROW = datetime.now(UTC) + timedelta(days=1)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"description": "x" * 2_001}, "description"),
        ({"agent": "x" * 101}, "agent"),
        ({"tags": ["x" * 101]}, "tags"),
        ({"tags": ["x"] * 51}, "tags"),
        ({"tags": "abc"}, "tags"),
        ({"metadata": {"a": "b\x00"}}, "metadata"),
        ({"metadata": {"a": object()}}, "metadata"),
        ({"metadata": [1]}, "metadata"),
        ({"priority": "urgent"}, "priority"),
        ({"priority": 4}, "priority"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"idempotency_key": "x" * 201}, "idempotency_key"),
        ({"correlation_id": "a\x00"}, "correlation_id"),
        ({"initiator": 3}, "initiator"),
        ({"due_at": datetime(2030, 1, 1)}, "due_at"),  # noqa: DTZ001  that it has no zone is the point
        ({"scheduled_at": "soon"}, "scheduled_at"),
        ({"expires_in": 0}, "expires_in"),
        ({"expires_in": -1}, "expires_in"),
        ({"expires_in": "soon"}, "expires_in"),
        ({"expires_in": float("nan")}, "expires_in"),
        ({"expires_in": 1, "expires_at": TOMORROW}, "expires_in"),
        ({"colour": "blue"}, "colour"),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, dict) else "",
)
def test_a_bad_option_is_refused_by_its_name(running: Stage, options: dict[str, Any], field: str) -> None:
    before = count_runs(running)

    with pytest.raises(InvalidInput) as refused:
        running.submit(flows.diamond, {"n": 1}, **options)

    assert refused.value.field.split(".")[0] == field
    assert count_runs(running) == before


@pytest.mark.parametrize("name", ["x" * 300, "", "with space", "nul\x00", "a/b", "ünïcode" * 100])
def test_a_step_name_that_would_not_fit_is_refused_where_it_is_defined(name: str) -> None:
    workflow = Workflow("named")

    with pytest.raises(DefinitionError, match="step"):
        workflow.step(name=name)(flows.greet.handler)


@pytest.mark.parametrize("run_id", ["", "no-uuid", "01a1fc00-0000-7000-8000-000000000000", "x" * 1_000])
def test_a_run_that_does_not_exist_is_not_found(running: Stage, run_id: str) -> None:
    with pytest.raises(RunNotFound):
        running.client.run(run_id)


def settings_of(stage: Stage, **changed: Any) -> Settings:
    """Return a stage's settings with some changed."""
    return Settings(**{**stage.settings.model_dump(exclude_unset=True), **changed})


def test_a_database_that_was_never_migrated_is_named_as_such(running: Stage, postgres_url: str) -> None:
    with (
        Client(settings_of(running, database_url=postgres_url)) as client,
        pytest.raises(DatabaseNotMigrated, match="wfe db upgrade"),
    ):
        client.submit(flows.diamond, {"n": 1})


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a database one second to answer: a test has no five."""
    monkeypatch.setattr(database, "_CONNECT_TIMEOUT", 1.0)


@pytest.mark.usefixtures("hurried")
def test_a_database_that_does_not_answer_is_named_as_such(running: Stage) -> None:
    nowhere = settings_of(running, database_url="postgresql://nobody@127.0.0.1:1/nothing")

    with Client(nowhere) as client, pytest.raises(DatabaseUnavailable, match="PostgreSQL does not answer"):
        client.submit(flows.diamond, {"n": 1})


@pytest.mark.usefixtures("hurried")
def test_a_database_that_does_not_exist_or_refuses_us_is_named_as_such(running: Stage) -> None:
    url = running.database_url.rsplit("/", 1)[0] + "/no_such_database"

    with (
        Client(settings_of(running, database_url=url)) as client,
        pytest.raises(DatabaseUnavailable, match='"no_such_database" does not exist'),
    ):
        client.submit(flows.diamond, {"n": 1})


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WFE_LEASE_SECONDS": "0"}, "WFE_LEASE_SECONDS"),
        ({"WFE_DATABASE_URL": "mysql://x"}, "WFE_DATABASE_URL"),
        ({"WFE_BROKER_URL": "localhost"}, "WFE_BROKER_URL"),
        ({"WFE_HEARTBEAT_SECONDS": "14", "WFE_LEASE_SECONDS": "15"}, "WFE_HEARTBEAT_SECONDS"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(ConfigurationError, match=message):
        Settings()


def test_every_error_is_one_of_ours(running: Stage) -> None:
    attempts: list[Callable[[], object]] = [
        lambda: running.submit("nothing"),
        lambda: running.submit(flows.diamond, object()),
        lambda: running.submit(flows.diamond, 1, colour="blue"),
        lambda: running.client.run("nothing"),
        lambda: running.client.runs(states=["happy"]),
        lambda: running.client.runs(limit=0),
    ]
    for attempt in attempts:
        with pytest.raises(WorkflowEngineError):
            attempt()


def test_a_worker_without_a_database_says_what_to_set(running: Stage) -> None:
    environment = {name: value for name, value in running.environment().items() if name != "WFE_DATABASE_URL"}

    ended = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "tests.acceptance.steps_app", "worker"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert ended.returncode != 0
    assert "WFE_DATABASE_URL is not set" in ended.stderr
