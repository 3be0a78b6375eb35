"""SIGTERM to every kind of process: it ends by itself and soon, with exit code 0, no traceback, and JSON to its last line."""

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.database import new_database
from tests.support.processes import QUICK, ROOT, Stage, stage, wait_until
from workflow_engine.embedded.ports import free_port
from workflow_engine.embedded.processes import ChildProcess, Program

SOON = 20.0
"""Seconds; a process that has nothing to finish needs two, on a machine with other things to do."""
PROCESSES = {
    "worker": (["worker", "--concurrency", "2"], "ready."),
    "threads": (["worker", "--concurrency", "2", "--pool", "threads"], "ready."),
    "gevent": (["worker", "--concurrency", "2", "--pool", "gevent"], "ready."),
    "coordinator": (["coordinator"], "running: "),
    "relay": (["relay"], "running: "),
    "flower": (["flower", "--port", "0"], "Connected to "),
    "api": (["api", "--no-auth", "--port", "0"], "listening on"),
}


@pytest.fixture(scope="module")
def place(postgres_url: str, broker_url: str, template_database: str) -> Iterator[Stage]:
    """A database and a broker for all of them."""
    with (
        tempfile.TemporaryDirectory(prefix="wfe-stops-") as folder,
        new_database(postgres_url, template=template_database) as url,
        stage(Path(folder), url, broker_url, **QUICK) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def started(place: Stage) -> Iterator[dict[str, ChildProcess]]:
    """All of them, at the same time; each has said that it works."""
    variables = {**os.environ, **place.environment(), "WFE_LOG_FORMAT": "json"}
    processes = {}
    for name, (words, _) in PROCESSES.items():
        words = [str(free_port()) if word == "0" and name == "flower" else word for word in words]
        argv = [sys.executable, "-m", "workflow_engine.cli.main", *words]
        processes[name] = ChildProcess(Program(argv=argv, env=variables, log=place.folder / f"{name}.log", cwd=ROOT))
    for name, (_, ready) in PROCESSES.items():
        wait_until(lambda text=ready, log=log_of(place, name): text in log.read_text(), within=60, why=name)
    yield processes
    for process in processes.values():
        process.sweep()


def log_of(place: Stage, name: str) -> Path:
    return place.folder / f"{name}.log"


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_told_to_stop_ends_well(place: Stage, started: dict[str, ChildProcess], name: str) -> None:
    started[name].send(signal.SIGTERM)
    code = started[name].wait(SOON)

    text = log_of(place, name).read_text()
    assert code == 0, text
    assert "Traceback" not in text, text
    for line in text.splitlines():
        assert isinstance(json.loads(line), dict), line
