"""What the embedded PostgreSQL and Valkey share: a folder, a lock, a port, a process that must answer."""

import logging
import secrets
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

from workflow_engine.embedded.folders import make_folder, read_text, tail, write_private
from workflow_engine.embedded.locking import FolderLock
from workflow_engine.embedded.ports import free_port, is_free, require_port
from workflow_engine.embedded.processes import ChildProcess, Program
from workflow_engine.errors import WorkflowEngineError

logger = logging.getLogger(__name__)

START_SECONDS = 60.0  # recovery after a crash may take a while
_ANSWER_SECONDS = 0.01
_STARTS = 4


class EmbeddedServer(ABC):
    """A server as a child process, with all it owns below one folder.

    ``start`` repairs what a killed process left behind; ``stop`` is clean and may be repeated. An object that
    was started keeps its URL when it is started again. Usable in a ``with`` statement.
    """

    product: ClassVar[str]
    unavailable: ClassVar[type[WorkflowEngineError]]
    stop_steps: ClassVar[Sequence[tuple[signal.Signals, float]]]

    def __init__(self, folder: Path, *, port: int | None = None, log: Path | None = None) -> None:
        self.folder = Path(folder).absolute()
        self.log = log or self.folder / "server.log"
        self._required_port = port
        self._lock = FolderLock(self.folder / "lock")
        self._children_lock = FolderLock(self.folder / "children.lock", inherited=True)
        self._process: ChildProcess | None = None
        self._url: str | None = None
        self._password = ""

    @property
    def url(self) -> str:
        """Where it listens, with its password; known once it was started."""
        if self._url is None:
            raise self.unavailable(f"the embedded {self.product} in {self.folder} was not started")
        return self._url

    @property
    def pid(self) -> int | None:
        """Its process id, or ``None`` when it does not run."""
        return self._process.pid if self._process is not None and self.is_running() else None

    def is_running(self) -> bool:
        """Tell whether its process lives."""
        return self._process is not None and self._process.returncode is None

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        return "was not started" if self._process is None else self._process.ending

    def start(self) -> str:
        """Start it, wait until it answers, and return its URL."""
        if self.is_running():
            return self.url
        self.stop()
        make_folder(self.folder)
        self._lock.acquire()
        try:
            self._children_lock.acquire()
            if self._required_port is not None:
                require_port(self._required_port)
            self._prepare()
            port = self._start_on_some_port()
        except BaseException:
            self.stop()
            raise
        self._url = self._url_at(port)
        self._required_port = port
        return self._url

    def stop(self) -> None:
        """Stop it if it runs, and give its folder free."""
        if self._process is not None:
            self._process.stop(self.stop_steps)
            self._process = None
        self._children_lock.release()
        self._lock.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @abstractmethod
    def _prepare(self) -> None:
        """Make the folder fit for a start; the locks are held, so nothing runs in it."""

    @abstractmethod
    def _program(self, port: int) -> Program:
        """Return what to run."""

    @abstractmethod
    def _url_at(self, port: int) -> str:
        """Return the URL of a server on ``port``."""

    @abstractmethod
    def _answers(self, port: int) -> bool:
        """Tell whether it is ready to serve."""

    def _repair(self, output: str) -> bool:
        """Mend what made it end with ``output``; tell whether another start is worth it."""
        return "Address already in use" in output and self._required_port is None

    def _start_on_some_port(self) -> int:
        for _ in range(_STARTS):
            port = self._choose_port()
            written = self.log.stat().st_size if self.log.exists() else 0
            self._process = ChildProcess(self._program(port))
            if self._wait_until_it_answers(port):
                write_private(self.folder / "port", str(port))
                return port
            output = tail(self.log, since=written)
            if not self._repair(output):
                break
        raise self.unavailable(f"the embedded {self.product} does not start; {self.log} ends with:\n{output}")

    def _choose_port(self) -> int:
        if self._required_port is not None:
            return self._required_port
        remembered = read_text(self.folder / "port") or ""
        if remembered.isdigit() and is_free(int(remembered)):
            return int(remembered)
        if remembered:
            logger.warning("port %s of the embedded %s is taken: choosing another", remembered, self.product)
        return free_port()

    def _wait_until_it_answers(self, port: int) -> bool:
        """Return whether it serves; ``False`` when its process ended instead."""
        process = self._process
        deadline = time.monotonic() + START_SECONDS
        while process is not None and process.wait(_ANSWER_SECONDS) is None:
            if self._answers(port):
                return True
            if time.monotonic() > deadline:
                raise self.unavailable(
                    f"the embedded {self.product} does not answer after {START_SECONDS:g} s; see {self.log}"
                )
        return False

    def _load_password(self, *, fresh: bool) -> None:
        """Read the password kept beside the data; make one if there is none or the data is ``fresh``."""
        path = self.folder / "password"
        password = None if fresh else read_text(path)
        if password is None:
            password = secrets.token_urlsafe(24)
            write_private(path, password)
        self._password = password
