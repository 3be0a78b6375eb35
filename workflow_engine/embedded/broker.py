"""A real Redis-compatible broker as a child process: Valkey."""

import logging
import os
import signal
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import ClassVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from workflow_engine.embedded.binaries import valkey_server
from workflow_engine.embedded.folders import give_to, usable
from workflow_engine.embedded.identity import same_identity
from workflow_engine.embedded.ports import LOOPBACK
from workflow_engine.embedded.processes import Program
from workflow_engine.embedded.server import EmbeddedServer
from workflow_engine.errors import BrokerUnavailable, WorkflowEngineError

logger = logging.getLogger(__name__)

_CONFIGURATION = """\
bind {host}
port {port}
requirepass {password}
save ""
appendonly {appendonly}
appendfsync everysec
maxmemory-policy noeviction
daemonize no
"""
# What it says of content it cannot read; not of a full disk or a missing permission, which are for a person to mend.
_CORRUPTION = (
    "Bad file format reading the append only file",
    "FATAL AOF MANIFEST FILE ERROR",
    "Error reading the RDB base file",
    "Terminating server after rdb file reading failure",
)


class EmbeddedBroker(EmbeddedServer):
    """Valkey from the wheel. With ``persistent=False`` it keeps nothing when it ends: for tests."""

    product = "Valkey"
    unavailable: ClassVar[type[WorkflowEngineError]] = BrokerUnavailable
    stop_steps: ClassVar[Sequence[tuple[signal.Signals, float]]] = ((signal.SIGTERM, 10.0),)

    def __init__(
        self, folder: Path, *, port: int | None = None, persistent: bool = True, log: Path | None = None
    ) -> None:
        super().__init__(folder, port=port, log=log)
        self._persistent = persistent
        self._data = self.folder / "data"
        self._binary = Path()

    def _prepare(self) -> None:
        self._binary = valkey_server()
        self._load_password(fresh=False)
        self._make_data_folder()

    def _make_data_folder(self) -> None:
        with usable(self.folder):
            self._data.mkdir(mode=0o700, exist_ok=True)
        give_to(self._data, same_identity().owner)

    def _program(self, port: int) -> Program:
        return Program(
            argv=(str(self._binary), "-"),
            env={"PATH": os.defpath, "LC_ALL": "C"},
            stdin=_CONFIGURATION.format(
                host=LOOPBACK,
                port=port,
                password=self._password,
                appendonly="yes" if self._persistent else "no",
            ),
            log=self.log,
            cwd=self._data,  # where it keeps its files; its `dir` setting would need quoting
            inherits=(self._children_lock.descriptor,),
            death_signal=signal.SIGTERM,
        )

    def _url_at(self, port: int) -> str:
        return f"redis://:{self._password}@{LOOPBACK}:{port}/0"

    def _answers(self, port: int) -> bool:
        with redis.Redis(
            host=LOOPBACK,
            port=port,
            password=self._password,
            socket_timeout=5,
            retry=Retry(NoBackoff(), 0),  # else it waits for seconds by itself, even for a process that ended
        ) as client:
            try:
                return bool(client.ping())
            except (redis.ConnectionError, redis.TimeoutError):  # not yet, or it still loads its file
                return False

    def _repair(self, output: str) -> bool:
        """Set unreadable data aside: what was in the queues is dispatched again from the database."""
        if not any(sign in output for sign in _CORRUPTION):
            return super()._repair(output)
        aside = next(path for number in count(1) if not (path := self.folder / f"data.corrupt-{number}").exists())
        with usable(self.folder):
            self._data.rename(aside)
        logger.warning(
            "Valkey cannot read its append-only file; the data is now in %s and the broker starts empty "
            "(unfinished steps are dispatched again from the database)",
            aside,
        )
        self._make_data_folder()
        return True
