"""Everything on one machine, for ``wfe dev`` and ``wfe demo``: servers, our processes, Flower, and a user."""

import sys
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Any, Final

from workflow_engine.bootstrap.engine import Engine
from workflow_engine.cli.api import require_api
from workflow_engine.cli.flower import choose_port, port_at_hand, require_flower
from workflow_engine.config import Settings
from workflow_engine.embedded.folders import tail
from workflow_engine.embedded.ports import LOOPBACK
from workflow_engine.embedded.services import Service
from workflow_engine.embedded.supervisor import Supervisor, Urls
from workflow_engine.errors import WorkflowEngineError
from workflow_engine.store import migration

_PATIENCE_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.1
_READY_FILE: Final = "coordinator.ready"
_RELAY_FILE: Final = "relay.ready"
_API_FILE: Final = "api.ready"
_API_PORT: Final = 8000


class NotUp(WorkflowEngineError):
    """Something did not start in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Specification:
    """What to run, and where."""

    folder: Path
    workflows: Sequence[str]
    """Import paths."""
    concurrency: int | None = None
    """Steps at a time; None leaves it to Celery: one for each processor."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """More for the environment of the processes."""
    working_folder: Path | None = None
    database_url: str | None = None
    broker_url: str | None = None
    """Servers to use instead of starting some."""
    metrics_port: int | None = None
    """The worker's; the other processes have the next ones, for they cannot share it."""
    has_api: bool = True
    api_port: int | None = None
    """By default 8000, or the next free one."""


class Stack:
    """Servers and processes that start, live and stop together; only one in a folder.

    ``use`` gets the stack in a thread of its own once the servers run, and returns whether it came to its end. With
    ``then_stop``, everything stops when it returns.
    """

    def __init__(
        self,
        wanted: Specification,
        use: Callable[["Stack"], bool],
        *,
        say: Callable[[str], None],
        then_stop: bool = False,
    ) -> None:
        require_flower()
        self.api_url = _choose_api_url(wanted)
        self.folder = wanted.folder.absolute()
        self.flower_url = f"http://{LOOPBACK}:{choose_port(LOOPBACK, port_at_hand())}"
        self.workflows = tuple(wanted.workflows)
        self._metrics_port = wanted.metrics_port
        self.urls: Urls
        self.finished = False
        """Whether ``use`` came to its end."""
        self._use = use
        self._then_stop = then_stop
        self._failure: Exception | None = None
        self._thread = Thread(target=self._run_user, name="user", daemon=True)
        self._supervisor = Supervisor(
            self.folder,
            _services(wanted, self.folder, self.flower_url, self.api_url),
            prepare=self._prepare,
            say=say,
            database_url=wanted.database_url,
            broker_url=wanted.broker_url,
            links={name: url for name, url in (("Flower", self.flower_url), ("API", self.api_url)) if url is not None},
            workflows=self.workflows,
        )

    @property
    def metrics(self) -> str:
        """Where worker, coordinator and relay are measured."""
        port = self._metrics_port
        if not port:
            return "off: set WFE_METRICS_PORT" if port is None else "on free ports, which the logs name"
        return f"http://{LOOPBACK}:{port}/metrics (worker), :{port + 1} (coordinator), :{port + 2} (relay)"

    @property
    def api(self) -> str | None:
        """Where the API is, and its documentation; None where it does not run."""
        return None if self.api_url is None else f"{self.api_url} (documentation: {self.api_url}/docs)"

    @property
    def logs(self) -> Path:
        """The folder with a log for each process."""
        return self._supervisor.logs

    def run(self) -> None:
        """Keep everything running until a signal, or until ``use`` is done; raise what ``use`` raised."""
        try:
            self._supervisor.run()
        finally:
            if self._thread.is_alive():
                self._thread.join(timeout=10)
        if self._failure is not None:
            raise self._failure

    def is_stopping(self, within: float = 0.0) -> bool:
        """Tell whether everything stops, or begins to within so many seconds."""
        return self._supervisor.is_stopping(within)

    def engine(self, **more: Any) -> Engine:
        """Return an engine on these servers, with the workflows, and with ``more`` settings."""
        settings = Settings(
            database_url=self.urls.database_url,
            broker_url=self.urls.broker_url,
            workflows=self.workflows,
            flower_url=self.flower_url,
            **more,
        )
        return Engine(settings, application_name="wfe")

    def wait_until_up(self, engine: Engine) -> bool:
        """Return once worker, coordinator, relay, API and Flower answer; False if everything stops before that.

        Raises:
            NotUp: one of them does not, for a minute.
        """
        deadline = monotonic() + _PATIENCE_SECONDS
        missing: list[tuple[str, Callable[[], bool]]] = [
            ("coordinator", (self.folder / _READY_FILE).exists),
            ("relay", (self.folder / _RELAY_FILE).exists),
            ("api", lambda: self.api_url is None or (self.folder / _API_FILE).exists()),
            ("flower", self._flower_answers),
            ("worker", lambda: bool(engine.app.control.ping(timeout=0.5))),
        ]
        while missing := [(name, answers) for name, answers in missing if not answers()]:
            if self.is_stopping(_LOOK_SECONDS):
                return False
            if monotonic() > deadline:
                name = missing[0][0]
                raise NotUp(f"the {name} does not come up: {tail(self.logs / f'{name}.log', limit=300)}")
        return True

    def _prepare(self, urls: Urls) -> None:
        self.urls = urls
        for name in (_READY_FILE, _RELAY_FILE, _API_FILE):
            (self.folder / name).unlink(missing_ok=True)
        migration.upgrade(urls.database_url)
        self._thread.start()

    def _run_user(self) -> None:
        try:
            self.finished = self._use(self)
        except Exception as error:
            if not self.is_stopping():  # else it is only that the servers went away
                self._failure = error
        if self._then_stop or self._failure is not None:
            self._supervisor.request_stop()

    def _flower_answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.flower_url}/healthcheck", timeout=1) as answer:  # noqa: S310
                return bool(answer.status == HTTPStatus.OK)
        except OSError:
            return False


def _choose_api_url(wanted: Specification) -> str | None:
    if not wanted.has_api:
        return None
    require_api()
    return f"http://{LOOPBACK}:{choose_port(LOOPBACK, wanted.api_port or None, _API_PORT)}"


def _services(wanted: Specification, folder: Path, flower_url: str, api_url: str | None) -> list[Service]:
    environment = {"WFE_WORKFLOWS": ",".join(wanted.workflows), "WFE_FLOWER_URL": flower_url, **wanted.variables}
    concurrency = [] if wanted.concurrency is None else ["--concurrency", str(wanted.concurrency)]
    port = flower_url.rpartition(":")[2]
    services = [
        # It has no neighbours to look for, and looking takes a second.
        _service(
            "worker",
            ["--hostname", "worker@%h", "--without-mingle", "--without-gossip", *concurrency],
            wanted,
            environment | _metrics_port(wanted, 0),
        ),
        _service(
            "coordinator", ["--ready-file", str(folder / _READY_FILE)], wanted, environment | _metrics_port(wanted, 1)
        ),
        _service("relay", ["--ready-file", str(folder / _RELAY_FILE)], wanted, environment | _metrics_port(wanted, 2)),
        # Flower's API refuses everybody unless told otherwise; this one listens to this machine only.
        _service("flower", ["--port", port], wanted, environment | {"FLOWER_UNAUTHENTICATED_API": "true"}),
    ]
    return services if api_url is None else [*services, _api(wanted, folder, environment, api_url)]


def _api(wanted: Specification, folder: Path, environment: dict[str, str], api_url: str) -> Service:
    """The API, for this machine only, and without tokens."""
    options = ["--no-auth", "--host", LOOPBACK, "--port", api_url.rpartition(":")[2]]
    return _service(
        "api", [*options, "--ready-file", str(folder / _API_FILE)], wanted, environment | _metrics_port(wanted, 3)
    )


def _service(name: str, options: Sequence[str], wanted: Specification, environment: Mapping[str, str]) -> Service:
    return Service(
        name=name,
        argv=[sys.executable, "-m", "workflow_engine.cli.main", name, *options],
        env=environment,
        cwd=wanted.working_folder,
    )


def _metrics_port(wanted: Specification, number: int) -> dict[str, str]:
    port = wanted.metrics_port
    return {} if port is None else {"WFE_METRICS_PORT": str(port and port + number)}
