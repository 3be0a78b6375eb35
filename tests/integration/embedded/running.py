"""Programs of ours as separate processes, and looking for what they leave behind."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[3]
PROGRAMS = Path(__file__).parent / "programs"


def wait_until(condition: Callable[[], object], *, within: float, why: str = "") -> Any:
    """Return the first true value of ``condition``; fail after ``within`` seconds."""
    deadline = time.monotonic() + within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within} s: {why or condition}"
        threading.Event().wait(0.02)
    return value


def is_alive(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(found.stdout.strip()) and not found.stdout.startswith("Z")


def processes_using(text: str | Path) -> list[str]:
    """Return the processes with that text in their arguments or that folder above their current one.

    A server's own children change their arguments, but stay in its data folder.
    """
    if not Path("/proc/self/cwd").exists():
        listing = subprocess.run(["ps", "-ww", "-eo", "pid=,args="], capture_output=True, text=True, check=True)
        return [line for line in listing.stdout.splitlines() if str(text) in line]
    found = ((entry.name, _arguments(entry), _current_folder(entry)) for entry in Path("/proc").glob("[0-9]*"))
    return [f"{pid} {args} in {cwd}" for pid, args, cwd in found if str(text) in f"{args} {cwd}"]


def _arguments(process: Path) -> str:
    with suppress(OSError):
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def _current_folder(process: Path) -> str:
    with suppress(OSError):
        return str((process / "cwd").readlink())
    return ""


class Running:
    """A program of ours that prints JSON lines."""

    def __init__(self, program: str, *arguments: str, **options: Any) -> None:
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = subprocess.Popen(
            [*options.pop("before", ()), sys.executable, str(PROGRAMS / program), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            env=environment,
            start_new_session=True,
            **options,
        )

    def line(self) -> dict[str, Any]:
        """Return the next line it prints."""
        assert self.process.stdout is not None
        text = self.process.stdout.readline()
        assert text, f"it ended with {self.process.wait()}"
        value: dict[str, Any] = json.loads(text)
        return value

    def wait_for(self, event: str, containing: str = "") -> dict[str, Any]:
        """Return the next line of that event."""
        while True:
            line = self.line()
            if line.get("event") == event and containing in str(line):
                return line

    def kill(self, number: int = signal.SIGKILL) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """Let it come to its end and return its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(20)

    def clean_up(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


def as_user(uid: int) -> tuple[str, ...]:
    """Return what makes a program start as an ordinary user who may read, but not write, everything."""
    power = "+dac_read_search"
    user = (f"--reuid={uid}", f"--regid={uid}", "--clear-groups")
    return ("setpriv", *user, f"--inh-caps={power}", f"--ambient-caps={power}")
