"""Files that ``wfe generate`` writes: where they go, how they are imported from there, and never over others."""

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

from workflow_engine.cli.failures import WrongUsage

LINE: Final = 88
"""The width most formatters agree on; where a line would be longer, it is written as they would break it."""

_TEMPLATES: Final = files("workflow_engine.cli") / "templates"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_NAME_LIMIT: Final = 30
_INDENT: Final = "    "


@dataclass(frozen=True)
class Place:
    """A folder for modules, as the current folder sees it."""

    folder: Path

    @cached_property
    def root(self) -> Path:
        """The folder that must be on the import path: the first one upwards that is no package."""
        return next(each for each in (self._absolute, *self._absolute.parents) if not (each / "__init__.py").is_file())

    @property
    def is_here(self) -> bool:
        """Whether modules are imported as seen from the current folder."""
        return self.root == Path.cwd()

    def import_path(self, module: str) -> str:
        """Return how a test beside it imports a module."""
        return ".".join([*self._absolute.relative_to(self.root).parts, module])

    def registration(self, variable: str, module: str) -> str:
        """Return what to set so that processes started in the current folder import the module."""
        here = Path.cwd()
        if self.root == self._absolute and self._absolute.is_relative_to(here):
            parts = [*self._absolute.relative_to(here).parts, module]
            if all(part.isidentifier() for part in parts):
                return f"{variable}={'.'.join(parts)}"
        prefix = "" if self.is_here else f"PYTHONPATH={self.root} "
        return f"{prefix}{variable}={self.import_path(module)}"

    @cached_property
    def _absolute(self) -> Path:
        return self.folder.resolve()


def check_name(kind: str, name: str) -> None:
    """Check that a name can become that of a module and of a class.

    Raises:
        WrongUsage: it cannot; the message suggests one that can.
    """
    if _NAME.fullmatch(name) and len(name) <= _NAME_LIMIT:
        return
    words = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)
    likely = "_".join(words).lower()[:_NAME_LIMIT].lstrip("0123456789_").rstrip("_")
    hint = f"; did you mean {likely!r}?" if likely else ""
    raise WrongUsage(
        f"{name!r} cannot name a {kind} here: a letter a-z, then letters a-z, digits and underscores, "
        f"{_NAME_LIMIT} at most{hint}"
    )


def class_name(name: str) -> str:
    """Return ``a_name`` as ``AName``."""
    return "".join(part.capitalize() for part in name.split("_"))


def filled(template: str, **values: str) -> str:
    """Return a template with its placeholders replaced."""
    text = (_TEMPLATES / f"{template}.py.txt").read_text(encoding="utf-8")
    return Template(text).substitute(values).rstrip("\n") + "\n"


def assigned(target: str, values: Sequence[str], *, indent: int) -> str:
    """Return the assignment of a tuple of texts, in one line if it fits."""
    prefix = _INDENT * indent
    quoted = [f'"{value}"' for value in values]
    line = f"{prefix}{target} = ({', '.join(quoted)}{',' if len(quoted) == 1 else ''})"
    if len(line) <= LINE:
        return line
    return "\n".join([f"{prefix}{target} = (", *(f"{prefix}{_INDENT}{each}," for each in quoted), f"{prefix})"])


def docstring(text: str, *, indent: int) -> str:
    """Return a docstring, in one line if it fits."""
    prefix = _INDENT * indent
    line = f'{prefix}"""{text}"""'
    if len(line) <= LINE:
        return line
    lines = textwrap.wrap(text, LINE - len(prefix) - 2 * len('"""'))
    return "\n".join([f'{prefix}"""{lines[0]}', *(prefix + each for each in lines[1:]), f'{prefix}"""'])


def imports(place: Place, module: str, names: str, needed: str) -> str:
    """Return a test's imports, of its module and from our test kit, as ``isort`` would put them."""
    theirs = f"from {place.import_path(module)} import {names}"
    if len(theirs) > LINE:
        theirs = f"from {place.import_path(module)} import (\n{_INDENT}{names},\n)"
    ours = f"from workflow_engine.testing import {needed}"
    if place.is_here:  # a module of this project comes after those of others
        return f"{ours}\n\n{theirs}"
    return "\n".join(sorted([theirs, ours]))


def write(folder: Path, contents: Mapping[str, str]) -> list[Path]:
    """Write files into a folder and return where they are; all of them or none.

    Raises:
        WrongUsage: one is there already.
    """
    paths = [folder / name for name in contents]
    if there := [path for path in paths if path.exists() or path.is_symlink()]:
        raise WrongUsage(f"{there[0]} is there already: choose another name or another --folder")
    written: list[Path] = []
    try:
        for path, text in zip(paths, contents.values(), strict=True):
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(text)
    except OSError:
        for path in written:
            path.unlink()
        raise
    return paths
