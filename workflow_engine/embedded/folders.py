"""The files beside an embedded server: private, written whole, and refused in clear words."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workflow_engine.errors import ConfigurationError

_TOO_LONG_LOG = 8 * 1024 * 1024


@contextmanager
def usable(folder: Path) -> Iterator[None]:
    """Turn whatever the operating system has against ``folder`` into a :class:`ConfigurationError`."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(
            f"cannot use the folder {folder}: {error.strerror or error}"
            + (f" ({error.filename})" if error.filename not in {None, str(folder)} else "")
        ) from error


def make_folder(folder: Path) -> None:
    """Create ``folder`` and its parents; nobody else may look into it."""
    with usable(folder):
        # As root a server may run as another user, who must be able to pass through to its own data.
        folder.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied", str(folder))


def write_private(path: Path, text: str) -> None:
    """Write ``text`` for this user's eyes only; readers see the old or the new text, never a part."""
    with usable(path.parent):
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        partial.replace(path)


def read_text(path: Path) -> str | None:
    """Return the text of ``path``, or ``None`` when there is no such file."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def give_to(folder: Path, owner: tuple[int, int]) -> None:
    """Make ``folder`` and all below it belong to ``owner``, which only root can change."""
    uid, gid = owner
    present = folder.stat().st_uid
    if present == uid:
        return
    if os.geteuid() != 0:
        raise ConfigurationError(f"{folder} belongs to another user (uid {present}); use another folder")
    with usable(folder):
        for parent, _, files in os.walk(folder):
            for path in (parent, *(str(Path(parent, name)) for name in files)):
                os.chown(path, uid, gid, follow_symlinks=False)


def remove_tree(folder: Path) -> None:
    """Remove ``folder`` and all below it, if it is there."""
    with usable(folder):
        if folder.exists():
            shutil.rmtree(folder)


def open_log(path: Path) -> int:
    """Return a descriptor that appends to the log ``path``; a long log is set aside first."""
    with usable(path.parent):
        if path.exists() and path.stat().st_size > _TOO_LONG_LOG:
            path.replace(path.with_name(f"{path.name}.1"))
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def tail(path: Path, *, since: int = 0, limit: int = 2000) -> str:
    """Return the end of what was written to ``path`` after byte ``since``."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(min(since, size), size - limit))
            return file.read().decode(errors="replace").strip()
    except FileNotFoundError:
        return ""
