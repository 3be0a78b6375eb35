"""One `wfe dev` for every test that needs servers, and a place where none is found."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.running import HERE, Command
from workflow_engine.embedded.attach import Attached, find_running


@dataclass(frozen=True, slots=True, kw_only=True)
class Dev:
    """A `wfe dev` that runs in ``folder``."""

    folder: Path
    command: Command
    attached: Attached


@pytest.fixture(scope="session")
def shared_dev() -> Iterator[Dev]:
    """A `wfe dev` for tests that do not stop it."""
    with tempfile.TemporaryDirectory(prefix="wfe-cli-") as place:
        folder = Path(place)
        shutil.copy(HERE / "shop.py", folder / "devshop.py")
        command = Command("dev", "--workflows", "devshop", "--concurrency", "2", cwd=folder, log=folder / "dev.log")
        try:
            command.wait_for("Ctrl-C stops everything")
            attached = find_running(folder)
            assert attached is not None
            yield Dev(folder=folder, command=command, attached=attached)
            assert command.stop() == 0, command.output
        finally:
            command.clean_up()


@pytest.fixture
def dev(shared_dev: Dev, monkeypatch: pytest.MonkeyPatch) -> Dev:
    """The shared `wfe dev`, with its folder as the current one."""
    monkeypatch.chdir(shared_dev.folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", "")
    return shared_dev


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, where nothing runs and only the shop can be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(HERE))
    return tmp_path


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Start commands; what still runs at the end of the test is killed."""
    started: list[Command] = []

    def start_one(*arguments: str, cwd: Path = tmp_path, **variables: Any) -> Command:
        started.append(Command(*arguments, cwd=cwd, log=tmp_path / f"command-{len(started)}.log", **variables))
        return started[-1]

    yield start_one
    for command in started:
        command.clean_up()
