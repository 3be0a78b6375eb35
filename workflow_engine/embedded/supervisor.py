"""Start, watch and stop the servers and the processes that use them, as one."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from workflow_engine.embedded.attach import Attached, lock_path, publish, withdraw
from workflow_engine.embedded.broker import EmbeddedBroker
from workflow_engine.embedded.folders import make_folder, usable
from workflow_engine.embedded.locking import FolderLock
from workflow_engine.embedded.postgres import EmbeddedPostgres
from workflow_engine.embedded.restarts import Keeper
from workflow_engine.embedded.server import EmbeddedServer
from workflow_engine.embedded.services import RunningService, Service
from workflow_engine.errors import ConfigurationError, WorkflowEngineError

logger = logging.getLogger(__name__)

_CHECK_SECONDS = 0.1
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Urls:
    """Where the servers are; the URLs carry passwords."""

    database_url: str = field(repr=False)
    broker_url: str = field(repr=False)

    def as_environment(self) -> Mapping[str, str]:
        """Return what makes a process use them."""
        return {"WFE_DATABASE_URL": self.database_url, "WFE_BROKER_URL": self.broker_url}


class ServerLost(WorkflowEngineError):
    """An embedded server kept crashing, so everything was stopped."""


class Supervisor:
    """Runs PostgreSQL, Valkey, then ``services``, and stops them in reverse; only one at a time in a folder.

    A crashed part is started again, a few times. ``prepare`` is called with the URLs before the first service
    starts; ``say`` gets a sentence for each thing a person should know. A server whose URL is given is not
    started.
    """

    def __init__(
        self,
        folder: Path,
        services: Sequence[Service] = (),
        *,
        prepare: Callable[[Urls], object] | None = None,
        say: Callable[[str], None] = logger.warning,
        database_url: str | None = None,
        broker_url: str | None = None,
        links: Mapping[str, str] | None = None,
        workflows: Sequence[str] = (),
    ) -> None:
        names = [service.name for service in services]
        if len(set(names)) < len(names):
            raise ConfigurationError(f"two services have one name: {', '.join(sorted(names))}")
        self.folder = Path(folder).absolute()
        self.logs = self.folder / "logs"
        self._specifications = tuple(services)
        self._prepare = prepare
        self._say = say
        self._given_urls = (database_url, broker_url)
        self._links = dict(links or {})
        self._workflows = tuple(workflows)
        self._services: list[RunningService] = []
        self._keepers: list[Keeper] = []
        self._server_keepers: list[Keeper] = []
        self._stopping = threading.Event()
        self._to_undo = ExitStack()

    def run(self) -> None:
        """Keep everything running until Ctrl-C, SIGTERM or :meth:`request_stop`; then stop it all."""
        with self._signals_stop_us():
            try:
                self.start()
                self._watch()
            finally:
                self.stop()

    def start(self) -> Urls:
        """Start the servers, prepare, start the services; return where the servers are."""
        try:
            self._claim_folder()
            urls = self._start_servers()
            if self._prepare is not None:
                self._prepare(urls)
            self._start_services(urls)
            self._publish(urls)
        except BaseException:
            self.stop()
            raise
        return urls

    def stop(self) -> None:
        """Stop whatever was started, last first; may be repeated."""
        self._stopping.set()
        self._to_undo.close()

    def request_stop(self) -> None:
        """Make :meth:`run` stop everything and return."""
        self._stopping.set()

    def is_stopping(self, within: float = 0.0) -> bool:
        """Tell whether it stops, or begins to within so many seconds: for threads that use what it runs."""
        return self._stopping.wait(within)

    def pids(self) -> Mapping[str, int]:
        """Return the process id of each service that runs, by name."""
        return {service.name: service.pid for service in self._services if service.pid is not None}

    def _claim_folder(self) -> None:
        make_folder(self.folder)
        lock = FolderLock(lock_path(self.folder))
        lock.acquire()
        self._to_undo.callback(lock.release)
        with usable(self.folder):
            withdraw(self.folder)  # what a killed one left behind
            self.logs.mkdir(mode=0o700, exist_ok=True)
            (self.folder / ".gitignore").write_text("*\n")

    def _start_servers(self) -> Urls:
        database_url, broker_url = self._given_urls
        return Urls(
            database_url=database_url
            or self._start_server(
                EmbeddedPostgres(self.folder / "postgres", log=self.logs / "postgres.log"),
            ),
            broker_url=broker_url
            or self._start_server(EmbeddedBroker(self.folder / "broker", log=self.logs / "broker.log")),
        )

    def _start_server(self, server: EmbeddedServer) -> str:
        self._to_undo.callback(server.stop)
        url = server.start()
        self._server_keepers.append(Keeper(server.product, server, self._say, log=server.log))
        return url

    def _start_services(self, urls: Urls) -> None:
        self._to_undo.callback(self._stop_services)
        for service in self._specifications:
            if self._stopping.is_set():
                return
            running = RunningService(service, urls=urls.as_environment(), log=self.logs / f"{service.name}.log")
            self._services.append(running)
            running.start()
            self._keepers.append(Keeper(service.name, running, self._say, log=running.log))

    def _stop_services(self) -> None:
        """Ask all at once, last first, so that the slowest alone decides how long it takes."""
        for service in reversed(self._services):
            service.ask_to_stop()
        for service in reversed(self._services):
            service.finish()

    def _publish(self, urls: Urls) -> None:
        publish(
            Attached(
                folder=self.folder,
                pid=os.getpid(),
                database_url=urls.database_url,
                broker_url=urls.broker_url,
                links=self._links,
                workflows=self._workflows,
            )
        )
        self._to_undo.callback(withdraw, self.folder)

    def _watch(self) -> None:
        while not self._stopping.wait(_CHECK_SECONDS):
            for keeper in (*self._server_keepers, *self._keepers):
                keeper.check()
            lost = [keeper.name for keeper in self._server_keepers if keeper.gave_up]
            if lost:
                raise ServerLost(f"{' and '.join(lost)} kept crashing; see {self.logs}")

    @contextmanager
    def _signals_stop_us(self) -> Iterator[None]:
        """Stop on the first signal; on the second do not wait for the services any more."""

        def on_signal(number: int, _: FrameType | None) -> None:
            if self._stopping.is_set():
                for service in self._services:
                    service.kill()
            else:
                self._stopping.set()  # first: the next signal may come before the sentence is out
                self._say(f"stopping ({signal.Signals(number).name})")

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, on_signal) for number in _STOP_SIGNALS if not _under_nohup(number)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _under_nohup(number: signal.Signals) -> bool:
    return number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN
