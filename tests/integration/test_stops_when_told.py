"""SIGTERM to every kind of process: it ends soon, with exit code 0, no traceback, and JSON to its last line."""

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
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
    "flower": (["flower"], "Connected to "),
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
def started(place: Stage, request: pytest.FixtureRequest) -> Iterator[dict[str, ChildProcess]]:
    """Those that the tests are about, at the same time; each has said that it works."""
    wanted = {item.callspec.params["name"] for item in request.session.items if item.path == request.path}
    variables = {**os.environ, **place.environment(), "WFE_LOG_FORMAT": "json"}
    processes = {}
    for name in wanted:
        words, _ = PROCESSES[name]
        port = [] if name != "flower" else ["--port", str(free_port())]
        argv = [sys.executable, "-m", "workflow_engine.cli.main", *words, *port]
        processes[name] = ChildProcess(Program(argv=argv, env=variables, log=place.folder / f"{name}.log", cwd=ROOT))
    for name in wanted:
        _, ready = PROCESSES[name]
        wait_until(partial(_has, place.folder / f"{name}.log", ready), within=60, why=name)
    yield processes
    for process in processes.values():
        process.sweep()


def _has(log: Path, text: str) -> bool:
    return text in log.read_text()


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in {"threads", "gevent"} else name for name in PROCESSES],
)
def test_a_process_told_to_stop_ends_well(place: Stage, started: dict[str, ChildProcess], name: str) -> None:
    started[name].send(signal.SIGTERM)
    code = started[name].wait(SOON)

    text = (place.folder / f"{name}.log").read_text()
    assert code == 0, text
    assert "Traceback" not in text, text
    for line in text.splitlines():
        assert isinstance(json.loads(line), dict), line
