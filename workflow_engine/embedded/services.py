"""The processes beside the servers: worker, coordinator, Flower, whatever the caller names."""

import os
import re
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workflow_engine.embedded.processes import ChildProcess, Program
from workflow_engine.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A program to keep running; ``env`` is added to the environment of this process."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    stop_seconds: float = 10.0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", self.name):
            raise ConfigurationError(f"service name {self.name!r} is not made of letters, digits, '-' and '_'")
        if not self.argv:
            raise ConfigurationError(f"service {self.name!r} has nothing to run")


class RunningService:
    """A service as a process: started, asked to stop, awaited."""

    def __init__(self, service: Service, *, urls: Mapping[str, str], log: Path) -> None:
        self.name = service.name
        self.log = log
        self._service = service
        self._env = {**os.environ, "PYTHONUNBUFFERED": "1", **urls, **service.env}
        self._process: ChildProcess | None = None
        self._deadline = 0.0

    @property
    def pid(self) -> int | None:
        """Its process id, or ``None`` when it does not run."""
        return self._process.pid if self._process is not None and self.is_running() else None

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        return "was not started" if self._process is None else self._process.ending

    def is_running(self) -> bool:
        """Tell whether its process lives."""
        return self._process is not None and self._process.returncode is None

    def start(self) -> None:
        """Start it; what a crashed process left of its own children is killed first."""
        if self._process is not None:
            self._process.sweep()
        self._process = ChildProcess(
            Program(argv=self._service.argv, env=self._env, cwd=self._service.cwd, log=self.log)
        )

    def ask_to_stop(self) -> None:
        """Send it SIGTERM; its time to stop begins now."""
        self._deadline = time.monotonic() + self._service.stop_seconds
        if self._process is not None:
            self._process.send(signal.SIGTERM)

    def finish(self) -> None:
        """Wait until it has stopped; kill it and its children when its time is over."""
        if self._process is not None:
            self._process.wait(max(self._deadline - time.monotonic(), 0.0))
            self._process.sweep()
            self._process = None

    def kill(self) -> None:
        """End it at once; :meth:`finish` collects it."""
        if self._process is not None:
            self._process.send(signal.SIGKILL)
