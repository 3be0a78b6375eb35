"""``wfe`` as its users start it: in this process where that is enough, as a process where it is not."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tests.support.processes import wait_until
from workflow_engine.cli.main import root
from workflow_engine.embedded.processes import ChildProcess, Program

HERE = Path(__file__).parent
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x9b]")
"""What has no place in a file: everything but text, tabs and line ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output, which must be one JSON document."""
        return json.loads(self.out)


def wfe(*arguments: str | Path, input: str | None = None, **variables: str) -> Ended:  # noqa: A002
    """Run a command in this process."""
    result = CliRunner().invoke(root, [str(each) for each in arguments], input=input, env=variables)
    return Ended(code=result.exit_code, out=result.stdout, err=result.stderr)


def wfe_process(*arguments: str, cwd: Path, **variables: str) -> Ended:
    """Run a command as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "workflow_engine.cli.main", *arguments],
        cwd=cwd,
        env=environment(variables),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ended(code=done.returncode, out=done.stdout, err=done.stderr)


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process, without colours for reading and with the shop to import."""
    return {**os.environ, "PYTHONPATH": str(HERE), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", **variables}


class Command:
    """A command that goes on until it is told to stop; it dies with this process."""

    def __init__(self, *arguments: str, cwd: Path, log: Path, **variables: str) -> None:
        self._log = log
        self._process = ChildProcess(
            Program(
                argv=[sys.executable, "-m", "workflow_engine.cli.main", *arguments],
                env=environment(variables),
                log=log,
                cwd=cwd,
            )
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for(self, text: str, within: float = 90.0) -> str:
        """Return the output once ``text`` is in it."""
        wait_until(lambda: text in self.output or self._process.returncode is not None, within=within, why=text)
        assert text in self.output, self.output
        return self.output

    def stop(self, number: signal.Signals = signal.SIGTERM, within: float = 30.0) -> int:
        """Send a signal; return the exit code."""
        self._process.send(number)
        code = self._process.wait(within)
        assert code is not None, f"still runs {within} s after {number.name}: {self.output}"
        self._process.sweep()
        return code

    def clean_up(self) -> None:
        self._process.sweep()
