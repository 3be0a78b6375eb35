"""Fixtures for real kills of real servers: every test also proves that it left no process behind."""

import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.embedded.running import Running, processes_using, wait_until
from workflow_engine.embedded.attach import FOLDER_NAME
from workflow_engine.embedded.postgres import EmbeddedPostgres


@pytest.fixture
def launch() -> Iterator[Callable[..., Running]]:
    """Start programs of ours; what still runs at the end of the test is killed."""
    started: list[Running] = []

    def start(program: str, *arguments: str, **options: Any) -> Running:
        started.append(Running(program, *arguments, **options))
        return started[-1]

    yield start
    for program in started:
        program.clean_up()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path that only this user may enter, and nothing of it left afterwards."""
    path = Path(tempfile.mkdtemp(prefix="wfe-embedded-"))
    yield path
    wait_until(lambda: not processes_using(path), within=5, why="orphans are gone")
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def initialised() -> Iterator[Path]:
    """The folder of a stopped PostgreSQL, made once: an ``initdb`` is half a second."""
    with tempfile.TemporaryDirectory(prefix="wfe-embedded-") as path:
        with EmbeddedPostgres(Path(path) / "pg", fsync=False):
            pass
        yield Path(path) / "pg"


@pytest.fixture
def used(folder: Path, initialised: Path) -> Iterator[Path]:
    """A PostgreSQL folder that was used and stopped, or killed, before; the same for all tests."""
    place = folder / "pg"
    initialised.rename(place)
    yield place
    wait_until(lambda: not processes_using(folder), within=5, why="orphans are gone")
    if not place.exists():
        place = folder / FOLDER_NAME / "postgres"
    place.rename(initialised)


@pytest.fixture
def open_folder(folder: Path) -> Path:
    """A folder that every user may write to."""
    folder.chmod(0o755)
    path = folder / "open"
    path.mkdir()
    path.chmod(0o777)
    return path


@pytest.fixture
def busy_port() -> Iterator[int]:
    """A port that somebody else has."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener.getsockname()[1]
