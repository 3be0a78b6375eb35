"""Child processes that never outlive us."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from workflow_engine.embedded import launch
from workflow_engine.embedded.folders import open_log
from workflow_engine.embedded.identity import Identity, same_identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run, as whom, and what becomes of its output."""

    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    cwd: Path | None = None
    stdin: str = ""
    identity: Identity = field(default_factory=same_identity)
    inherits: Sequence[int] = ()
    death_signal: signal.Signals = signal.SIGKILL


class ChildProcess:
    """A running program in a session of its own, so that Ctrl-C in the terminal reaches only us.

    It gets ``death_signal`` when this process ends in whatever way: from the kernel on Linux, else from a
    watcher at the other end of a pipe. The kernel goes by the *thread* that started it, so only the main
    thread may rely on that.
    """

    def __init__(self, program: Program, *, watch: bool | None = None) -> None:
        by_pipe = _needs_watcher() if watch is None else watch
        log = open_log(program.log)
        reader: int | None
        self._pipe: int | None
        reader, self._pipe = os.pipe() if by_pipe else (None, None)
        try:
            self._process = _popen(program, log, reader)
        finally:
            os.close(log)
            if reader is not None:
                os.close(reader)
        _feed(self._process, program.stdin)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code (negative: the signal that ended it), or ``None`` while it runs."""
        return self._process.poll()

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        code = self.returncode
        if code is None:
            return "still runs"
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def wait(self, timeout: float) -> int | None:
        """Wait until it ends, at most ``timeout`` seconds; return its exit code or ``None``."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout)
        return None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        if self._process.poll() is None:
            self._process.send_signal(number)

    def stop(self, steps: Sequence[tuple[signal.Signals, float]]) -> None:
        """Send each signal in turn until it ends within that step's seconds; at last kill all its group."""
        for number, grace in steps:
            self.send(number)
            if self.wait(grace) is not None:
                break
        self.sweep()

    def sweep(self) -> None:
        """Kill whatever is left of its process group."""
        with suppress(ProcessLookupError, PermissionError):  # macOS: EPERM when only a zombie is left
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None


def run_to_end(program: Program, *, timeout: float) -> int:
    """Run ``program`` and return its exit code; kill it after ``timeout`` seconds."""
    child = ChildProcess(program)
    try:
        ended = child.wait(timeout)
    finally:
        child.sweep()
    return -signal.SIGKILL if ended is None else ended


def _needs_watcher() -> bool:
    return sys.platform != "linux" or threading.current_thread() is not threading.main_thread()


def _popen(program: Program, log: int, reader: int | None) -> subprocess.Popen[str]:
    options = program.identity.as_options() | {
        "parent": os.getpid(),
        "death_signal": int(program.death_signal),
        "watch": reader,
    }
    return subprocess.Popen(  # noqa: S603 - the caller's program
        [sys.executable, "-I", "-S", launch.__file__, json.dumps(options), *program.argv],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        text=True,
        cwd=program.cwd,
        env=dict(program.env),
        start_new_session=True,
        pass_fds=(*program.inherits, *(() if reader is None else (reader,))),
    )


def _feed(process: subprocess.Popen[str], text: str) -> None:
    if process.stdin is None:
        raise RuntimeError("started without standard input")
    with suppress(BrokenPipeError), process.stdin:  # it died at once; its log says why
        process.stdin.write(text)
