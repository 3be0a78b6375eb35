"""`wfe doctor` on installations in which something is wrong: each condition is real."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from time import monotonic
from typing import Any

import psycopg
import pytest
import redis

from tests.acceptance import flows
from tests.faults.site import skewed_by
from tests.fixtures.stages import StageMaker
from tests.integration.cli.conftest import Dev
from tests.integration.cli.running import Ended, wfe
from tests.support.processes import ROOT, Stage, wait_until
from workflow_engine.embedded.broker import EmbeddedBroker
from workflow_engine.embedded.ports import free_port
from workflow_engine.release import release
from workflow_engine.store import migration

pytestmark = pytest.mark.xdist_group("cli-dev")

SOON = 8.0
"""Seconds within which the doctor is done with servers that are not there."""


def examined(*arguments: str, **variables: str) -> tuple[Ended, dict[str, list[dict[str, Any]]]]:
    """Return how the doctor ended, and its findings by what was looked at."""
    ended = wfe("doctor", "--json", *arguments, **variables)
    found: dict[str, list[dict[str, Any]]] = {}
    for each in ended.json["findings"]:
        found.setdefault(each["check"], []).append(each)
    assert (
        ended.json["healthy"]
        == (ended.code == 0)
        == all(each["level"] != "error" for checks in found.values() for each in checks)
    )
    assert all(each["advice"] for checks in found.values() for each in checks if each["level"] != "ok")
    return ended, found


def levels(found: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    """Return the level of what was looked at, of several findings the last one's."""
    return {check: each[-1]["level"] for check, each in found.items()}


@pytest.fixture(scope="module")
def lonely(new_stage: StageMaker) -> Iterator[Stage]:
    """A database and a broker with an unfinished run, and nobody to work on it."""
    with new_stage() as stage:
        stage.submit(flows.diamond, {})
        yield stage


@pytest.fixture
def urls(lonely: Stage, nowhere: object) -> dict[str, str]:
    return urls_of(lonely)


def urls_of(stage: Stage) -> dict[str, str]:
    """Return the variables of a command on a stage's servers."""
    names = {"database_url": stage.database_url, "broker_url": stage.broker_url, "queue": stage.settings.queue}
    return {f"WFE_{name.upper()}": value for name, value in names.items()}


def test_a_running_dev_is_in_order(dev: Dev) -> None:
    _, found = examined()

    told = levels(found)
    for check in (
        *("dev", "workflows", "database", "durability", "schema", "connections", "clock", "coordinator", "workers"),
        *("releases", "relay", "broker", "eviction", "flower", "api", "timers", "ready"),
    ):
        assert told[check] == "ok", found[check]
    assert f"release {release()}" in found["releases"][0]["sentence"]
    people = wfe("doctor")
    assert re.search(r"^ok +database +PostgreSQL .* answers\.$", people.out, re.MULTILINE)
    assert people.out.splitlines()[-1].endswith("fine")
    assert "database " not in wfe("doctor", "--quiet").out


def test_servers_that_are_away_are_named_soon(nowhere: object) -> None:
    began = monotonic()
    ended, found = examined(
        WFE_DATABASE_URL=f"postgresql://me:secret@127.0.0.1:{free_port()}/orders",
        WFE_BROKER_URL=f"redis://127.0.0.1:{free_port()}/0",
        WFE_FLOWER_URL=f"http://127.0.0.1:{free_port()}",
        WFE_API_PORT=str(free_port()),
    )

    assert monotonic() - began < SOON
    assert levels(found) == {
        "workflows": "ok",
        "database": "error",
        "broker": "error",
        "flower": "warning",
        "api": "warning",
    }
    assert ended.code == 1
    assert "secret" not in ended.out


def test_no_servers_at_all_is_an_error_that_says_what_to_set(nowhere: object) -> None:
    ended, found = examined()

    assert (ended.code, levels(found)) == (1, {"settings": "error"})
    assert "WFE_DATABASE_URL" in found["settings"][0]["sentence"]


def test_code_that_cannot_be_imported_is_an_error(urls: dict[str, str]) -> None:
    _, found = examined(**urls, WFE_WORKFLOWS="no_such_module")

    assert levels(found)["workflows"] == "error"
    assert levels(found)["database"] == "ok"


@pytest.mark.parametrize("revision", [None, "0014"])
def test_an_old_schema_is_an_error_and_nothing_more_is_asked(
    fresh_database: str, broker_url: str, nowhere: object, revision: str | None
) -> None:
    if revision:
        migration.upgrade(fresh_database, revision)
    _, found = examined(WFE_DATABASE_URL=fresh_database, WFE_BROKER_URL=broker_url)

    assert levels(found)["schema"] == "error"
    assert "wfe db upgrade" in found["schema"][0]["advice"]
    assert "workers" not in found
    assert levels(found)["broker"] == "ok"


def test_where_nobody_works_everybody_is_missed(urls: dict[str, str]) -> None:
    ended, found = examined(**urls)

    told = levels(found)
    assert {check for check, level in told.items() if level == "error"} == {"coordinator", "workers", "queues"}
    assert told["relay"] == "warning"
    assert f"in queue '{urls['WFE_QUEUE']}', which no living worker serves" in found["queues"][0]["sentence"]
    assert told["durability"] == "warning", "the tests' PostgreSQL does not sync"
    assert ended.code == 1


def test_work_that_nobody_did_is_named(new_stage: StageMaker, nowhere: object) -> None:
    with new_stage() as stage:
        run = stage.submit(flows.diamond, {})
        stage.rows(
            "INSERT INTO timers (kind, due_at, run_id) "
            "VALUES ('run_expiry', now() - interval '1 hour', %s) RETURNING id",
            run.id,
        )
        stage.rows(
            "INSERT INTO workers (id, name, pid, heartbeat_at) "
            "VALUES (gen_random_uuid(), 'gone@host', 1, now() - interval '1 minute') RETURNING id"
        )
        variables = urls_of(stage) | {"WFE_STALE_AFTER_SECONDS": "1"}
        found = wait_until(
            lambda: next((found for _, found in [examined(**variables)] if levels(found)["stale"] == "warning"), None),
            why="the run counts as stale",
        )

    told = levels(found)
    assert (told["timers"], told["heartbeats"]) == ("error", "warning")
    assert "gone@host was last heard of 1 min" in found["heartbeats"][0]["sentence"]
    assert found["stale"][0]["advice"] == f"`wfe runs explain {run.id}` says more."


@pytest.mark.slow
def test_a_database_that_answers_too_slowly_is_told_from_one_that_is_away(lonely: Stage, urls: dict[str, str]) -> None:
    with psycopg.connect(lonely.database_url) as connection:
        connection.execute("LOCK TABLE runs")
        began = monotonic()
        _, found = examined(**urls)

    assert monotonic() - began < SOON
    told = levels(found)
    assert (told["database"], told["schema"], told["work"], told["broker"]) == ("ok", "ok", "error", "ok")
    assert "statement timeout" in found["work"][0]["sentence"]


def test_a_worker_tells_its_clock_its_release_and_its_workflows(new_stage: StageMaker, nowhere: object) -> None:
    with new_stage() as stage:
        stage.start_coordinator()
        worker = stage.start_worker("-c1", **skewed_by(-3_600.0))
        stage.submit(flows.gated, {"gate": "open"})
        strange = stage.submit(flows.diamond, {})
        stage.rows("UPDATE runs SET version = 'strange' WHERE id = %s RETURNING id", strange.id)
        _, found = examined(**urls_of(stage))

    (clock,) = found["clock"]
    assert re.match(rf"The clock of the host of worker {worker.name} is (59 min|1 h).* behind Post", clock["sentence"])
    assert levels(found)["releases"] == "ok"
    assert [each["sentence"].partition(" (")[0] for each in found["versions"]] == [
        f"1 unfinished run of {flows.diamond.name} strange"
    ]


def test_the_clock_of_this_host_is_compared_too(urls: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "workflow_engine.cli.main", "doctor", "--quiet"],
        env={**os.environ, **urls, **skewed_by(3_600.0)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert re.search(r"The clock of this host is (59 min|1 h).* ahead of PostgreSQL", done.stdout), done.stdout


def test_a_broker_that_throws_messages_away_or_has_stopped_is_an_error(
    own_broker: EmbeddedBroker, urls: dict[str, str]
) -> None:
    urls |= {"WFE_BROKER_URL": own_broker.url}
    with redis.Redis.from_url(own_broker.url) as client:
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
    assert levels(examined(**urls)[1])["eviction"] == "error"

    own_broker.stop()
    found = examined(**urls)[1]
    assert (levels(found)["broker"], levels(found)["database"]) == ("error", "ok")


@pytest.mark.rabbitmq
def test_rabbitmq_says_which_it_is(rabbitmq_url: str, urls: dict[str, str]) -> None:
    _, found = examined(**urls | {"WFE_BROKER_URL": rabbitmq_url})

    assert found["broker"][0]["sentence"].startswith("RabbitMQ ")


def test_an_app_of_ones_own_is_looked_at(urls: dict[str, str], tmp_path: Any, monkeypatch: Any) -> None:
    (tmp_path / "careless.py").write_text(
        f"from celery import Celery\napp = Celery(broker={urls['WFE_BROKER_URL']!r})\n"
        "app.conf.broker_transport_options = {'visibility_timeout': 30}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    _, found = examined("--app", "careless:app", **urls)

    told = levels(found)
    assert [told[check] for check in ("acknowledgement", "task-events", "prefetch")] == ["warning"] * 3
    assert wfe("doctor", "--app", "no_such_module:app").code == 2
