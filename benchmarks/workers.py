"""The two workers, started with the same options, each in processes of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from benchmarks.configuration import Configuration
from benchmarks.trace import TRACE_FILE, Trace
from workflow_engine.embedded.processes import ChildProcess, Program

PROCESSES: Final = 2
OPTIONS: Final = (
    "--prefetch-multiplier=1",
    "--loglevel=WARNING",
    "--without-gossip",
    "--without-mingle",
)
_HERE: Final = Path(__file__).parents[1]


class Worker:
    """A Celery worker of the app in ``module``; it ends with the ``with`` statement, and with this process."""

    def __init__(
        self,
        module: str,
        queue: str,
        configuration: Configuration,
        folder: Path,
        *,
        variables: Mapping[str, str] | None = None,
        pool: str = "prefork",
        concurrency: int = PROCESSES,
    ) -> None:
        """Prepare it; its log and trace are in ``folder``; ``variables`` are added to its environment."""
        self.trace = Trace(folder / f"{module}-{queue}.trace")
        self.log = folder / f"{module}-{queue}.log"
        self._program = Program(
            argv=[
                *(sys.executable, "-m", "celery", "-A", f"benchmarks.{module}", "worker"),
                *("-Q", queue, "-n", f"{module}-{queue}@benchmark", *OPTIONS),
                *(f"--pool={pool}", f"--concurrency={concurrency}"),
            ],
            env=os.environ
            | configuration.as_environment()
            | {TRACE_FILE: str(self.trace.path), "PYTHONPATH": python_path()}
            | (variables or {}),
            log=self.log,
            cwd=folder,
            death_signal=signal.SIGQUIT,  # a worker without its servers would wait for them for ever
        )
        self._process: ChildProcess | None = None

    def __enter__(self) -> Self:
        self._process = ChildProcess(self._program)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.stop([(signal.SIGTERM, 10.0), (signal.SIGQUIT, 3.0)])

    @property
    def pid(self) -> int:
        """The main process's id; 0 while it does not run."""
        return 0 if self._process is None else self._process.pid

    def memory(self) -> dict[str, int]:
        """Return the resident kilobytes of its main process and of its pool's."""
        main = self.pid
        listed = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid=,rss="], capture_output=True, text=True, check=True, timeout=10
        ).stdout
        rows = [tuple(map(int, line.split())) for line in listed.splitlines()]
        pool = sorted((pid, rss) for pid, parent, rss in rows if parent == main)
        sizes = {"main": sum(rss for pid, _, rss in rows if pid == main)}
        return sizes | {f"pool {number}": rss for number, (_, rss) in enumerate(pool, 1)}


def python_path() -> str:
    """Return what lets a process import this checkout, whatever its folder."""
    inherited = os.environ.get("PYTHONPATH")
    return str(_HERE) + (os.pathsep + inherited if inherited else "")
