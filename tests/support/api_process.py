"""The API as a process of its own, which may be stopped, killed and started beside others."""

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from tests.support.processes import ROOT, wait_until
from workflow_engine.embedded.processes import ChildProcess, Program


class ApiProcess:
    """What ``wfe api`` runs."""

    def __init__(self, folder: Path, **variables: str) -> None:
        """Start it on a free port; it is there once ``url`` is asked for."""
        self.log = folder / f"api-{uuid4().hex[:8]}.log"
        env = {**os.environ, "WFE_API_PORT": "0", "PYTHONUNBUFFERED": "1", **variables}
        argv = [sys.executable, "-m", "workers.api"]
        self.process = ChildProcess(Program(argv=argv, env=env, log=self.log, cwd=ROOT))

    @property
    def url(self) -> str:
        """Where it listens, once it does."""

        def found() -> str | None:
            assert self.process.returncode is None, self.log.read_text()
            match = re.search(r"listening on (\S+)", self.log.read_text())
            return match and match[1]

        return wait_until(found, within=40, why="the API listens")

    def tell_to_stop(self) -> None:
        """Ask it to end in good order; do not wait for that."""
        self.process.send(signal.SIGTERM)


@contextmanager
def api_process(folder: Path, **variables: str) -> Iterator[ApiProcess]:
    """Run the API for the length of a block."""
    made = ApiProcess(folder, **variables)
    try:
        yield made
    finally:
        made.process.sweep()
        print(f"--- {made.log.name}", made.log.read_text()[-4000:], sep="\n")
