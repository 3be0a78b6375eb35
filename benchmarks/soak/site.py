"""The site of the soak: two workers, a coordinator, a relay and the API, as they are deployed."""

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event as Flag
from time import monotonic
from typing import Final

from benchmarks.notes import STATEMENTS
from benchmarks.servers import Servers
from workflow_engine import Engine, Settings
from workflow_engine.client.client import WorkflowClient
from workflow_engine.embedded.ports import LOOPBACK, free_port
from workflow_engine.embedded.processes import ChildProcess, Program

QUEUE: Final = "soak"
WORKERS: Final = ("worker 1", "worker 2")
_PATIENCE: Final = 90.0
_ROOT: Final = Path(__file__).parents[2]
_FLOWS: Final = "benchmarks.soak.flows"
_WORKER: Final = ("-m", "celery", "--app", "workers.worker", "worker", "--concurrency=2", "--pool=prefork")


class NotStarted(Exception):
    """A process of the site does not come up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What runs."""

    client: WorkflowClient
    processes: Mapping[str, ChildProcess]
    port: int
    """Of the API."""
    statements: Path
    """What the coordinator asked."""

    @property
    def ids(self) -> dict[str, int]:
        """The process ids, by name."""
        return {name: process.pid for name, process in self.processes.items()}

    @property
    def url(self) -> str:
        """Of the API."""
        return f"http://{LOOPBACK}:{self.port}"

    def dead(self) -> list[str]:
        """Return the processes that have ended by themselves."""
        return [name for name, process in self.processes.items() if process.returncode is not None]


@contextmanager
def started_site(servers: Servers) -> Iterator[Site]:
    """Lend a site whose processes all run."""
    folder, port, ready = servers.folder, free_port(), servers.folder / "api.ready"
    statements = folder / "coordinator.statements"
    variables = {
        "WFE_DATABASE_URL": servers.configuration.database_url,
        "WFE_BROKER_URL": servers.configuration.broker_url,
        "WFE_WORKFLOWS": _FLOWS,
        "WFE_QUEUE": QUEUE,
        "WFE_LOG_LEVEL": "WARNING",
        "WFE_METRICS_PORT": "0",
        "WFE_API_RATE_PER_SECOND": "0",
        STATEMENTS: str(statements),
    }
    api = ("-m", "workflow_engine.cli.main", "api", "--no-auth", "--port", str(port), "--ready-file", str(ready))
    commands = {
        **{
            name: (*_WORKER, "-Q", QUEUE, "-n", f"{name.replace(' ', '')}@soak", "--loglevel=WARNING")
            for name in WORKERS
        },
        "coordinator": ("-m", "benchmarks.soak.coordinator"),
        "relay": ("-m", "workers.relay"),
        "api": api,
    }
    engine = Engine(
        Settings(
            database_url=servers.configuration.database_url,
            broker_url=servers.configuration.broker_url,
            queue=QUEUE,
            workflows=(_FLOWS,),
        )
    )
    with ExitStack() as stack:
        stack.callback(engine.close)
        processes = {}
        for name, arguments in commands.items():
            processes[name] = process = _started(name, arguments, variables, folder)
            stack.callback(process.stop, [(signal.SIGTERM, 15.0), (signal.SIGKILL, 3.0)])
        site = Site(client=engine.client, processes=processes, port=port, statements=statements)
        _wait_until_up(site, ready, folder)
        yield site


def _started(name: str, arguments: tuple[str, ...], variables: Mapping[str, str], folder: Path) -> ChildProcess:
    return ChildProcess(
        Program(
            argv=[sys.executable, *arguments],
            env={**os.environ, **variables},
            log=folder / f"{name}.log",
            cwd=_ROOT,
        )
    )


def _wait_until_up(site: Site, ready: Path, folder: Path) -> None:
    deadline = monotonic() + _PATIENCE
    while not ready.exists() or len(site.client.workers()) < len(WORKERS):
        if (dead := site.dead()) or monotonic() > deadline:
            logs = "\n".join((folder / f"{name}.log").read_text()[-2_000:] for name in dead)
            raise NotStarted(f"ended: {dead or 'none'}\n{logs}")
        Flag().wait(0.1)
