"""Find Python packages below a folder, deal them into shards of equal weight, and write files whole or not at all."""

import os
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from heapq import heapify, heapreplace
from pathlib import Path

SUFFIX = ".py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A folder of Python files (a package), or a single file (a module), directly below the root."""

    path: str
    """Relative to the root: ``asyncio`` or ``inspect.py``."""
    is_module: bool
    """Whether it is a single file."""
    files: int
    size: int
    """Bytes of source."""

    @property
    def name(self) -> str:
        """The name others import it by."""
        return self.path.removesuffix(SUFFIX)


def find_packages(root: Path, exclude: Collection[str]) -> list[Package]:
    """Return the packages and modules directly below ``root``, by path.

    Hidden folders and those named in ``exclude`` are not entered, links are not followed, and an entry whose name is
    not valid text is left out: it cannot be imported, nor stored as JSON.
    """
    found = []
    for entry in sorted(root.iterdir()):
        if entry.is_symlink() or _is_left_out(entry.name, exclude) or not _is_text(entry.name):
            continue
        sizes = [size_of(path) for path in source_files(entry, exclude)]
        if sizes:
            found.append(Package(path=entry.name, is_module=entry.is_file(), files=len(sizes), size=sum(sizes)))
    return found


def source_files(start: Path, exclude: Collection[str]) -> Iterator[Path]:
    """Yield the Python files at or below ``start``, sorted; links are not followed, so a loop of links is no loop.

    Folders that cannot be listed are yielded too, last: reading them fails as well, and so they are counted.
    """
    if not start.is_dir():
        yield from [start] if start.suffix == SUFFIX and _is_plain_file(start) else []
        return
    unlisted: list[Path] = []
    for folder, subfolders, names in os.walk(start, onerror=lambda error: unlisted.append(Path(error.filename))):
        subfolders[:] = sorted(name for name in subfolders if not _is_left_out(name, exclude))
        paths = (Path(folder, name) for name in sorted(names))
        yield from (path for path in paths if path.suffix == SUFFIX and _is_plain_file(path))
    yield from unlisted


def size_of(path: Path) -> int:
    """Return a file's size in bytes; 0 for one that has gone since it was listed."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def deal(packages: Iterable[Package], hands: int) -> list[list[Package]]:
    """Deal ``packages`` into ``hands`` lists of nearly equal size in bytes.

    The largest goes first, each to whoever has least so far ("longest processing time first", Graham 1969). Equal
    packages give equal hands, whatever their order.
    """
    dealt: list[list[Package]] = [[] for _ in range(hands)]
    weights = [(0, hand) for hand in range(hands)]
    heapify(weights)
    for package in sorted(packages, key=lambda each: (-each.size, each.path)):
        weight, hand = weights[0]
        dealt[hand].append(package)
        heapreplace(weights, (weight + package.size, hand))
    return dealt


def write_whole(path: Path, text: str) -> None:
    """Write a file so that readers see the old or the new text, never a part, however often a step is repeated."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        os.close(descriptor)
        Path(temporary).write_text(text, encoding="utf-8")
        Path(temporary).chmod(0o644)  # mkstemp makes it for the owner alone
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise


def printable(path: Path, root: Path) -> str:
    """Return ``path`` below ``root`` as text that any encoder takes, with ``/`` between its parts."""
    return path.relative_to(root).as_posix().encode("utf-8", "backslashreplace").decode()


def _is_left_out(name: str, exclude: Collection[str]) -> bool:
    return name.startswith(".") or name in exclude


def _is_plain_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
