"""How a command finds a running development server."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.embedded.running import Running
from workflow_engine.embedded.attach import FOLDER_NAME, Attached, find_running, lock_path, publish, withdraw
from workflow_engine.embedded.locking import FolderLock

Launch = Callable[..., Running]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@pytest.fixture
def attached(folder: Path) -> Attached:
    """A server said to run in the folder, as this process."""
    (folder / FOLDER_NAME).mkdir()
    return Attached(
        folder=folder / FOLDER_NAME,
        pid=os.getpid(),
        database_url="postgresql://user:secret@127.0.0.1:1/name",
        broker_url="redis://:secret@127.0.0.1:2/0",
        links={"flower": "http://127.0.0.1:3"},
    )


@pytest.fixture
def lock(attached: Attached) -> FolderLock:
    """The lock of that folder, not yet taken."""
    return FolderLock(lock_path(attached.folder))


def test_it_is_found_from_the_folder_and_from_below_until_it_is_withdrawn(
    folder: Path, attached: Attached, lock: FolderLock
) -> None:
    below = folder / "src" / "deep"
    below.mkdir(parents=True)
    lock.acquire()
    publish(attached)

    assert find_running(folder) == attached
    assert find_running(below) == attached
    assert stat.S_IMODE((attached.folder / "dev.json").stat().st_mode) == 0o600
    assert "secret" not in repr(attached)

    withdraw(attached.folder)
    assert find_running(below) is None
    lock.release()


def test_it_is_not_believed_without_the_lock(folder: Path, attached: Attached, lock: FolderLock) -> None:
    publish(attached)
    assert find_running(folder) is None

    lock.acquire()
    assert find_running(folder) == attached

    lock.release()
    assert find_running(folder) is None


def test_the_file_of_a_killed_process_is_not_believed_while_the_next_one_starts(
    folder: Path, attached: Attached, lock: FolderLock
) -> None:
    record = attached.folder / "dev.json"
    publish(attached)
    record.write_text(json.dumps(json.loads(record.read_text()) | {"pid": os.getppid()}))

    lock.acquire()

    assert find_running(folder) is None
    lock.release()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": 1}', '{"unknown": 1}', "nonsense"])
def test_a_broken_file_is_as_none(folder: Path, attached: Attached, lock: FolderLock, text: str) -> None:
    lock.acquire()
    (attached.folder / "dev.json").write_text(text)

    assert find_running(folder) is None
    lock.release()


@as_root
def test_the_file_of_another_user_is_not_believed(folder: Path, attached: Attached, lock: FolderLock) -> None:
    lock.acquire()
    publish(attached)
    os.chown(attached.folder / "dev.json", 65534, 65534)

    assert find_running(folder) is None
    lock.release()


def test_asking_does_not_disturb_who_takes_the_lock(folder: Path, attached: Attached, lock: FolderLock) -> None:
    publish(attached)
    for _ in range(50):
        find_running(folder)
        lock.acquire()
        assert find_running(folder) == attached
        lock.release()
