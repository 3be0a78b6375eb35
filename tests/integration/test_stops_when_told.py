"""SIGTERM to every kind of process: it ends soon, with exit code 0, no traceback, and JSON to its last line."""

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest

from tests.fixtures.stages import StageMaker
from tests.support.processes import ROOT, Stage, wait_until
from workflow_engine.embedded.broker import EmbeddedBroker
from workflow_engine.embedded.ports import free_port
from workflow_engine.embedded.postgres import EmbeddedPostgres
from workflow_engine.embedded.processes import ChildProcess, Program

SOON = 30.0
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
SHORT = ["worker", "coordinator", "relay", "flower", "api"]


@contextmanager
def started(stage: Stage, names: Sequence[str]) -> Iterator[Mapping[str, ChildProcess]]:
    """Start processes at the same time; each has said that it works."""
    variables = {**os.environ, **stage.environment(), "WFE_LOG_FORMAT": "json"}
    processes = {}
    try:
        for name in names:
            port = [] if name != "flower" else ["--port", str(free_port())]
            argv = [sys.executable, "-m", "workflow_engine.cli.main", *PROCESSES[name][0], *port]
            processes[name] = ChildProcess(Program(argv=argv, env=variables, log=log_of(stage, name), cwd=ROOT))
        wait_until(lambda: all(PROCESSES[name][1] in read(stage, name) for name in names), within=90, why="they work")
        yield processes
    finally:
        for process in processes.values():
            process.sweep()


def log_of(stage: Stage, name: str) -> Path:
    return stage.folder / f"{name}.log"


def read(stage: Stage, name: str) -> str:
    return log_of(stage, name).read_text()


def ends_well(stage: Stage, processes: Mapping[str, ChildProcess]) -> None:
    """Tell all of them to stop, at the same time; fail unless each ends soon and in good order."""
    for process in processes.values():
        process.send(signal.SIGTERM)
    until = monotonic() + SOON
    codes = {name: process.wait(max(until - monotonic(), 0.0)) for name, process in processes.items()}

    assert codes == dict.fromkeys(processes, 0), "\n".join(read(stage, name)[-2_000:] for name in processes)
    for name in processes:
        assert "Traceback" not in read(stage, name), name
        for line in read(stage, name).splitlines():
            assert isinstance(json.loads(line), dict), (name, line)


@pytest.mark.parametrize("names", [SHORT, pytest.param(["threads", "gevent"], marks=pytest.mark.slow)], ids=len)
def test_processes_told_to_stop_end_well(new_stage: StageMaker, names: Sequence[str]) -> None:
    with new_stage() as stage, started(stage, names) as processes:
        ends_well(stage, processes)


@pytest.mark.slow
def test_processes_told_to_stop_end_well_while_the_servers_are_away(
    own_database: EmbeddedPostgres, own_broker: EmbeddedBroker
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Stage(Path(folder), own_database.url, own_broker.url)
        with started(place, SHORT) as processes:
            own_broker.stop()
            own_database.stop()
            wait_until(lambda: "does not answer" in read(place, "coordinator"), why="it has noticed")
            ends_well(place, processes)
        place.client.close()
