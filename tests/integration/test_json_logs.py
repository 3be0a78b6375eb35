"""Logs of real processes in JSON: every line is one object, and says which step it is about."""

import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.database import new_database
from tests.integration.logging_flows import dying, talking
from tests.support.processes import QUICK, ROOT, Stage, stage, wait_until
from workflow_engine.embedded.processes import ChildProcess, Program
from workflow_engine.store import migration

FLOWS = "tests.integration.logging_flows"


class Process:
    """A command of ``wfe`` that logs in JSON."""

    def __init__(self, place: Stage, *arguments: str) -> None:
        self._log = place.folder / f"{arguments[0]}.log"
        self._process = ChildProcess(
            Program(
                argv=[sys.executable, "-m", "workflow_engine.cli.main", *arguments],
                env={**os.environ, **place.environment(), "WFE_LOG_FORMAT": "json", "WFE_WORKFLOWS": FLOWS},
                log=self._log,
                cwd=ROOT,
            )
        )

    @property
    def text_lines(self) -> list[str]:
        """What it has written in full lines, to standard output and standard error."""
        return self._log.read_text().rpartition("\n")[0].split("\n") if self._log.stat().st_size else []

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its lines; each must be one object."""
        lines = [json.loads(line) for line in self.text_lines]
        assert all(isinstance(line, dict) for line in lines)
        return lines

    def wait_for(self, text: str) -> dict[str, Any]:
        """Return the first line with this in its message, once it is there."""
        found = wait_until(lambda: [each for each in self.lines if text in each["message"]], within=60, why=text)
        return found[0]

    def stop(self) -> None:
        self._process.stop([(signal.SIGTERM, 20.0)])


@pytest.fixture
def place(postgres_url: str, broker_url: str) -> Iterator[Stage]:
    """A database, a broker and nothing else."""
    with tempfile.TemporaryDirectory(prefix="wfe-logs-") as folder, new_database(postgres_url) as url:
        migration.upgrade(url)
        with stage(Path(folder), url, broker_url, **QUICK) as made:
            yield made


@pytest.fixture
def start(place: Stage) -> Iterator[Callable[..., Process]]:
    """Start commands; what still runs at the end of the test is stopped."""
    started: list[Process] = []

    def begin(*arguments: str) -> Process:
        started.append(Process(place, *arguments))
        return started[-1]

    yield begin
    for process in started:
        process.stop()


def test_every_line_of_a_worker_and_a_coordinator_is_json_and_those_of_handlers_name_their_step(
    place: Stage, start: Callable[..., Process]
) -> None:
    worker, coordinator = start("worker", "--concurrency", "2"), start("coordinator")
    worker.wait_for("ready.")
    coordinator.wait_for("running: ")

    run = place.submit(talking, correlation_id="c-17")
    run.wait(timeout=30)
    worker.wait_for("warned of")
    worker.stop()
    coordinator.stop()

    said = worker.lines
    assert "worker: Warm shutdown (MainProcess)" in {line["message"] for line in said}
    told = [line for line in said if line["logger"] in {"shop", "shop.task"}]
    about = {"run_id": run.id, "workflow": "talking", "step": "talk", "correlation_id": "c-17", "namespace": "default"}
    assert [(line["message"], line["attempt"]) for line in told] == [
        ("two\nlines of attempt 1", 1),
        ("from a task's logger", 1),
        ("raised", 1),
        ("two\nlines of attempt 2", 2),
        ("from a task's logger", 2),
    ]
    assert all(about.items() <= line.items() for line in told)
    other = {line["message"]: line for line in said if line.get("step") == "print_and_warn"}
    assert "printed" in other
    assert any("warned of" in message for message in other)
    assert [line["exception"].splitlines()[-1] for line in told if "exception" in line] == [
        "ValueError: invalid literal for int() with base 10: 'attempt 1'"
    ]
    assert all({"timestamp", "level", "logger", "message"} <= line.keys() for line in said + coordinator.lines)
    assert "stopping (SIGTERM)" in {line["message"] for line in coordinator.lines}


@pytest.mark.slow
def test_a_worker_tells_of_a_lost_pool_process_in_json(place: Stage, start: Callable[..., Process]) -> None:
    worker = start("worker", "--concurrency", "1")
    start("coordinator")
    worker.wait_for("ready.")

    place.submit(dying).wait(timeout=60)

    assert worker.wait_for("exited with 'signal 9 (SIGKILL)'")["logger"] == "multiprocessing"


def test_every_line_of_a_relay_is_json(start: Callable[..., Process]) -> None:
    relay = start("relay")
    relay.wait_for("running: ")

    relay.stop()

    assert {line["message"] for line in relay.lines} >= {"stopping (SIGTERM)"}


def test_every_line_of_flower_is_json(start: Callable[..., Process]) -> None:
    flower = start("flower")
    flower.wait_for("Visit me at http://127.0.0.1:")
    flower.wait_for("Connected to ")

    flower.stop()

    assert all(line["level"] for line in flower.lines)
