"""Follow a page of the documentation as a reader would: run its code blocks, top to bottom, in one folder."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import yaml

from tests.support.processes import wait_until
from workflow_engine.embedded.ports import free_port
from workflow_engine.embedded.processes import ChildProcess, Program

ROOT: Final = Path(__file__).parents[2]
PLACEHOLDER_DATABASE: Final = "user:password@host/database"
PLACEHOLDER_BROKER: Final = "redis://host:6379/"
PLACEHOLDER_API: Final = "127.0.0.1:8000"
"""How the pages write the addresses of servers; a reader puts the real ones in their place."""

_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE_NAME: Final = re.compile(r"# (\w+\.(?:py|toml|yaml))\n")
_RUN_ID: Final = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_EXIT: Final = re.compile(r"#.*\bexits? (?:with )?(\d)")
_LASTING: Final[Mapping[str, str]] = {
    r"wfe dev\b": "everything is up",
    r"wfe (coordinator|relay)\b": "running: ",
    r"wfe flower\b": "Visit me at",
    r"wfe api\b": "listening on ",
    r"python receiver\.py": "listening",
    r"wfe worker\b|celery .*\bworker\b": r" ready\.",
}
"""Commands that do not end by themselves, and what their logs say when they are ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    follows: bool
    """Nothing but blank lines stand between this block and the one before."""

    @property
    def is_code(self) -> bool:
        """Whether it is something to do."""
        return self.language in {"python", "shell", ""}

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page in order."""
    text = page.read_text()
    end = 0
    for found in _FENCE.finditer(text):
        yield Block(
            page=page,
            line=text.count("\n", 0, found.start()) + 1,
            language=found[1],
            text=found[2],
            follows=not text[end : found.start()].strip(),
        )
        end = found.end()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lasting:
    """A command that runs on."""

    command: str
    process: ChildProcess
    log: Path
    ready: str

    def is_ready(self) -> bool:
        """Tell whether it has said so; fail if it has ended."""
        assert self.process.returncode is None, self.story()
        return re.search(self.ready, self.log.read_text()) is not None

    def story(self) -> str:
        """What it did so far."""
        return f"--- `{self.command}` {self.process.ending}:\n{self.log.read_text()[-4000:]}"


class Reader:
    """Somebody who tries what a page says; everything they started ends with the block of ``with``."""

    def __init__(self, folder: Path, *, database_url: str, broker_url: str) -> None:
        self._folder = folder
        port = str(free_port())  # 8000 may be another page's
        self._addresses = {
            PLACEHOLDER_API: f"127.0.0.1:{port}",
            PLACEHOLDER_DATABASE: database_url.partition("://")[2],
            PLACEHOLDER_BROKER: broker_url.rpartition("/")[0] + "/",
        }
        self._environment = _environment(folder) | {"WFE_API_PORT": port}
        self._lasting: list[_Lasting] = []
        self._output = ""
        self._unused: set[str] = set()
        self._run_id = "RUN_ID"

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        """Stop `wfe dev` in good order, for it has servers to stop; end the others, whose work nobody needs."""
        for lasting in self._lasting:
            lasting.process.stop([(signal.SIGTERM, 20.0)] if lasting.command.startswith("wfe dev") else [])

    def follow(self, block: Block) -> None:
        """Do what a block says; fail where it does not work."""
        text = block.text
        self._unused = {module for module in self._unused if not re.search(rf"\b{module}\b", text)}
        for placeholder, address in self._addresses.items():
            text = text.replace(placeholder, address)
        {
            "python": self._run_python,
            "shell": self._run_shell,
            "": self._run_shell,
            "toml": partial(self._write_settings, tomllib.loads),
            "yaml": partial(self._write_settings, yaml.safe_load),
            "json": lambda block, text: json.loads(text),
            "text": self._compare,
            "mermaid": lambda block, text: None,
        }[block.language](block, text)

    def finish(self) -> None:
        """Import the files that no block made use of; fail if something that should still run has ended."""
        for module in self._unused:
            self._run([sys.executable, "-c", f"import {module}"], f"{module}.py")
        self._wait_until_ready()
        for lasting in self._lasting:
            assert lasting.process.returncode is None, lasting.story()

    def _run_python(self, block: Block, text: str) -> None:
        named = _FILE_NAME.match(text)
        name = named[1] if named else f"block_{block.line}.py"
        (self._folder / name).write_text(text)
        if named:
            self._unused.add(name.removesuffix(".py"))
        else:
            self._output = self._run([sys.executable, name], str(block))

    def _write_settings(self, parse: Callable[[str], object], block: Block, text: str) -> None:
        named = _FILE_NAME.match(text)
        assert named, f"{block}: the first line does not say which file it is"
        parse(text)
        (self._folder / named[1]).write_text(text)

    def _run_shell(self, block: Block, text: str) -> None:
        for line in text.replace("\\\n", "").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                self._run_line(f"{block}: {line}", line, words)

    def _run_line(self, where: str, line: str, words: list[str]) -> None:
        ready = next((log for command, log in _LASTING.items() if re.match(command, line)), None)
        if words[0] == "export":
            self._environment.update(word.partition("=")[::2] for word in words[1:])
        elif words[0] == "make":
            check_targets(words[1:], where)
        elif words[:2] == ["pip", "install"]:
            check_requirements(words[2:], where)
        elif ready is not None:
            self._start(line, words, ready)
        else:
            expected = _EXIT.search(line)
            words = [re.sub(r"\bRUN_ID\b", self._run_id, word) for word in words]
            self._output = self._run(words, where, int(expected[1]) if expected else 0)

    def _run(self, arguments: list[str], where: str, exit_code: int = 0) -> str:
        self._wait_until_ready()
        done = subprocess.run(
            arguments,
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == exit_code, "\n".join(
            [
                f"{where} ended with {done.returncode}, not {exit_code}",
                done.stdout,
                done.stderr,
                *(lasting.story() for lasting in self._lasting),
            ]
        )
        self._run_id = next(iter(_RUN_ID.findall(done.stdout)), self._run_id)
        return done.stdout

    def _start(self, line: str, words: list[str], ready: str) -> None:
        log = self._folder / f"log-{len(self._lasting)}"
        environment = self._environment | {"FLOWER_PORT": str(free_port())}  # 5555 may be another page's
        process = ChildProcess(Program(argv=words, env=environment, cwd=self._folder, log=log))
        self._lasting.append(_Lasting(command=line, process=process, log=log, ready=ready))

    def _wait_until_ready(self) -> None:
        """Several start at the same time; whoever needs them waits."""
        for lasting in self._lasting:
            wait_until(lambda one=lasting: one.is_ready(), within=60, why=f"`{lasting.command}` is ready")

    def _compare(self, block: Block, text: str) -> None:
        """The block shows what the command before it printed; ``…`` stands for anything, alone for any lines."""
        if block.follows:
            assert re.fullmatch(_pattern(text), self._output.rstrip() + "\n"), (
                f"{block} shows\n{text}\nbut this was printed:\n{self._output}"
            )


def check_targets(targets: list[str], where: str) -> None:
    """Fail unless the Makefile has the targets."""
    known = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(targets) <= set(known), f"{where}: the Makefile has no such target"


def check_requirements(requirements: list[str], where: str) -> None:
    """Fail unless a checkout is installed, with extras that there are: our name is another project's on PyPI."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in requirements:
        name, _, extras = requirement.rstrip("]").partition("[")
        assert name == ".", f"{where} is not a checkout"
        assert set(filter(None, extras.split(","))) <= project["optional-dependencies"].keys(), (
            f"{where}: no such extra"
        )


def _environment(folder: Path) -> dict[str, str]:
    """Return this process's environment without our settings; programs of this Python come first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WFE_", "CELERY_"))}
    programs = str(Path(sys.executable).parent)
    return kept | {
        "PATH": f"{programs}{os.pathsep}{kept['PATH']}",
        "PYTHONPATH": str(folder),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }


def _pattern(text: str) -> str:
    """Return a regular expression for an output as a page shows it; columns may be wider or narrower."""
    lines = []
    for line in text.splitlines():
        if line.strip() == "…":
            lines.append(r"(?:.*\n)*?")
        else:
            parts = [r"[ \t]+".join(re.escape(word) for word in part.split()) for part in line.split("…")]
            lines.append(
                r"[ \t]*"
                + r".*?".join(_with_edges(part, own) for part, own in zip(parts, line.split("…"), strict=True))
                + r"[ \t]*\n"
            )
    return "".join(lines)


def _with_edges(pattern: str, original: str) -> str:
    before = r"[ \t]*" if original[:1].isspace() else ""
    after = r"[ \t]*" if original[-1:].isspace() else ""
    return f"{before}{pattern}{after}"
