"""The supervisor, with real servers, real services and real kills."""

import json
import os
import signal
import sys
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from celery import Celery

from tests.integration.embedded.running import PROGRAMS, Running, is_alive, processes_using, wait_until
from workflow_engine.embedded.attach import FOLDER_NAME, Attached, find_running, publish
from workflow_engine.embedded.locking import AlreadyRunning
from workflow_engine.embedded.ports import free_port
from workflow_engine.embedded.services import Service
from workflow_engine.embedded.supervisor import Supervisor
from workflow_engine.errors import ConfigurationError

Launch = Callable[..., Running]


def service(name: str, *options: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "argv": [sys.executable, str(PROGRAMS / "service.py"), *options], **fields}


class Dev:
    """A supervisor in a process of its own, on a PostgreSQL folder that is initialised already."""

    def __init__(self, folder: Path, launch: Launch, *services: Mapping[str, Any]) -> None:
        self.project = folder
        self.folder = folder / FOLDER_NAME
        self.running = launch("supervise.py", str(self.folder), json.dumps(services))
        self.urls = self.running.wait_for("prepared")
        self.attached = wait_until(lambda: find_running(folder), within=10)

    def log(self, name: str) -> list[dict[str, Any]]:
        """Return what each process of a service said."""
        path = self.folder / "logs" / f"{name}.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    def reports(self, name: str, count: int = 1) -> dict[str, Any]:
        """Wait for the ``count``th process of a service."""
        found = wait_until(lambda: len(self.log(name)) >= count and self.log(name), within=10)
        return dict(found[count - 1])

    def server_pid(self, name: str) -> int:
        if name == "postgres":
            return int((self.folder / "postgres/data/postmaster.pid").read_text().splitlines()[0])
        with redis.Redis.from_url(self.attached.broker_url) as client:
            return int(client.info("server")["process_id"])

    def processes(self) -> list[str]:
        return processes_using(self.folder)

    def answers(self) -> bool:
        try:
            with psycopg.connect(self.attached.database_url) as database:
                database.execute("SELECT 1")
            with redis.Redis.from_url(self.attached.broker_url) as broker:
                return bool(broker.ping())
        except (psycopg.OperationalError, redis.ConnectionError):
            return False


@pytest.fixture
def dev(folder: Path, used: Path, launch: Launch) -> Callable[..., Dev]:
    """Start a supervisor."""
    (folder / FOLDER_NAME).mkdir()
    used.rename(folder / FOLDER_NAME / "postgres")
    return lambda *services: Dev(folder, launch, *services)


def test_services_start_after_the_preparation_and_know_where_the_servers_are(dev: Callable[..., Dev]) -> None:
    started = dev(service("first", env={"EXTRA": "more"}), service("second"))
    first = started.reports("first")

    assert started.answers()
    assert started.attached.pid == started.running.process.pid
    assert first["database_url"] == started.urls["WFE_DATABASE_URL"] == started.attached.database_url
    assert first["broker_url"] == started.urls["WFE_BROKER_URL"] == started.attached.broker_url
    assert first["extra"] == "more"
    assert started.reports("second")["extra"] is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_cleanly(dev: Callable[..., Dev], number: signal.Signals) -> None:
    started = dev(service("first"))
    first = started.reports("first")
    started.running.kill(number)

    assert started.running.wait_for("said")["sentence"] == f"stopping ({number.name})"
    assert started.running.wait_for("ended")
    assert started.running.process.wait(5) == 0
    assert not any(is_alive(first[one]) for one in ("pid", "child"))
    assert started.processes() == []
    assert find_running(started.project) is None
    assert "database system is shut down" in (started.folder / "logs/postgres.log").read_text()


def test_a_service_that_does_not_stop_is_killed_with_its_children_after_its_time(
    dev: Callable[..., Dev],
) -> None:
    started = dev(service("stubborn", "stubborn", stop_seconds=0.3))
    stubborn = started.reports("stubborn")
    started.running.kill(signal.SIGTERM)

    assert started.running.process.wait(5) == 0
    assert not any(is_alive(stubborn[one]) for one in ("pid", "child"))


def test_a_second_ctrl_c_does_not_wait(dev: Callable[..., Dev]) -> None:
    started = dev(service("stubborn", "stubborn", stop_seconds=60))
    started.reports("stubborn")
    started.running.kill(signal.SIGINT)
    started.running.wait_for("said", "stopping")
    started.running.kill(signal.SIGINT)

    assert started.running.process.wait(5) == 0


def test_kill_9_of_the_supervisor_leaves_no_process_and_the_next_one_starts(
    dev: Callable[..., Dev], launch: Launch
) -> None:
    services = (service("first"), service("stubborn", "stubborn"))
    started = dev(*services)
    pids = [started.reports("first")["pid"], started.reports("stubborn")["pid"]]
    pids += [started.server_pid("postgres"), started.server_pid("broker")]
    started.running.kill(signal.SIGKILL)

    wait_until(lambda: not any(map(is_alive, pids)), within=2)
    assert find_running(started.project) is None
    for name in ("first", "stubborn"):
        os.kill(started.log(name)[0]["child"], signal.SIGKILL)  # a child of a child is its parent's business

    again = Dev(started.project, launch, *services)
    assert again.answers()


def test_a_killed_service_is_started_again_and_that_is_said(dev: Callable[..., Dev]) -> None:
    started = dev(service("first"))
    first = started.reports("first")
    os.kill(first["pid"], signal.SIGKILL)

    said = started.running.wait_for("said")["sentence"]
    assert said.startswith("first ended (killed by SIGKILL); starting it again in 0.1 s; see ")
    assert started.running.wait_for("said")["sentence"] == "first was started again"
    assert started.reports("first", 2)["pid"] != first["pid"]
    assert not is_alive(first["child"])


def test_a_service_that_keeps_ending_is_left_stopped_and_its_last_words_repeated(
    dev: Callable[..., Dev],
) -> None:
    started = dev({"name": "bad", "argv": ["/bin/sh", "-c", "echo no such thing; exit 3"]})

    said = started.running.wait_for("said", "left stopped")["sentence"]
    assert said == "bad keeps ending (exit code 3: no such thing) and is left stopped"
    assert started.answers()


def test_killed_servers_are_started_again_where_they_were(dev: Callable[..., Dev]) -> None:
    started = dev()
    for server, product in (("postgres", "PostgreSQL"), ("broker", "Valkey")):
        os.kill(started.server_pid(server), signal.SIGKILL)

        assert started.running.wait_for("said")["sentence"].startswith(f"{product} ended (killed by SIGKILL)")
        started.running.wait_for("said", "was started again")
        assert started.answers()


def test_a_second_supervisor_in_the_same_folder_is_refused_and_disturbs_nothing(
    dev: Callable[..., Dev],
) -> None:
    started = dev()

    with pytest.raises(AlreadyRunning, match=f"in use by process {started.attached.pid}"):
        Supervisor(started.folder).start()
    assert find_running(started.project) == started.attached
    assert started.answers()


def test_when_the_preparation_fails_nothing_is_left(folder: Path) -> None:
    def fail(_: object) -> None:
        raise ValueError("the migration failed")

    supervisor = Supervisor(folder / FOLDER_NAME, prepare=fail)

    with pytest.raises(ValueError, match="the migration failed"):
        supervisor.start()
    assert processes_using(folder) == []


def test_the_record_of_an_earlier_process_with_the_same_id_is_gone_before_anything_starts(folder: Path) -> None:
    (folder / FOLDER_NAME).mkdir()
    urls = {"database_url": "postgresql://earlier", "broker_url": "redis://earlier"}
    publish(Attached(folder=folder / FOLDER_NAME, pid=os.getpid(), **urls))
    found: list[Attached | None] = []
    supervisor = Supervisor(folder / FOLDER_NAME, prepare=lambda _: found.append(find_running(folder)), **urls)

    supervisor.start()
    supervisor.stop()

    assert found == [None]


def test_servers_that_are_given_are_not_started(folder: Path) -> None:
    supervisor = Supervisor(folder / FOLDER_NAME, database_url="postgresql://theirs", broker_url="redis://theirs")

    urls = supervisor.start()
    attached = find_running(folder)
    supervisor.stop()

    assert (urls.database_url, urls.broker_url) == ("postgresql://theirs", "redis://theirs")
    assert attached is not None
    assert not (folder / FOLDER_NAME / "postgres").exists()


def test_names_that_would_not_do_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not made of letters"):
        Service(name="../worker", argv=["true"])
    with pytest.raises(ConfigurationError, match="has nothing to run"):
        Service(name="worker", argv=[])
    twice = [Service(name="worker", argv=["true"])] * 2
    with pytest.raises(ConfigurationError, match="two services have one name"):
        Supervisor(folder, twice)


def test_a_celery_worker_in_the_middle_of_a_task_and_flower_go_with_a_killed_supervisor(
    folder: Path, dev: Callable[..., Dev]
) -> None:
    port, started_as = free_port(), f"worker@{folder.name}"
    celery = [sys.executable, "-m", "celery", "-A", "slow_app"]
    fields = {"cwd": str(PROGRAMS), "env": {"FLOWER_UNAUTHENTICATED_API": "true"}}
    started = dev(
        {"name": "worker", "argv": [*celery, "worker", "-c1", "-lINFO", "-n", started_as], **fields},
        {"name": "flower", "argv": [*celery, "flower", "--address=127.0.0.1", f"--port={port}"], **fields},
    )
    with Celery("slow_app", broker=started.attached.broker_url) as app:
        app.send_task("slow_app.busy")
    log = started.folder / "logs/worker.log"
    busy = wait_until(lambda: log.exists() and log.read_text().partition("busy in ")[2], within=20)
    wait_until(lambda: "slow_app.busy" in flower_task_names(port), within=20)
    pids = [int(busy.split()[0]), started.server_pid("postgres")]
    started.running.kill(signal.SIGKILL)

    wait_until(lambda: not any(map(is_alive, pids)), within=3)
    wait_until(lambda: processes_using(started_as) == processes_using(f"--port={port}") == [], within=3)


def flower_task_names(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/workers?refresh=1", timeout=5) as answer:
            return str(answer.read())
    except OSError:
        return ""
