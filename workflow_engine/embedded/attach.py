"""How other commands find a running development server: a private file, believed while its lock is held."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from workflow_engine.embedded.folders import write_private
from workflow_engine.embedded.locking import is_held, owner_of

FOLDER_NAME = ".workflow_engine"

_RECORD_NAME = "dev.json"
_LOCK_NAME = "lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A running development server.

    ``links`` are the addresses of what else it started, by name; ``workflows`` the import paths of what it runs.
    """

    folder: Path
    pid: int
    database_url: str = field(repr=False)  # has a password
    broker_url: str = field(repr=False)
    links: Mapping[str, str] = field(default_factory=dict)
    workflows: tuple[str, ...] = ()


def lock_path(folder: Path) -> Path:
    """Return the lock that whoever runs in ``folder`` holds."""
    return folder / _LOCK_NAME


def publish(attached: Attached) -> None:
    """Let :func:`find_running` find this process, which holds the lock."""
    write_private(attached.folder / _RECORD_NAME, json.dumps(asdict(attached), default=str, indent=1))


def withdraw(folder: Path) -> None:
    """Undo :func:`publish`."""
    (folder / _RECORD_NAME).unlink(missing_ok=True)


def find_running(folder: Path | None = None) -> Attached | None:
    """Return what runs for ``folder`` (the current one) or the nearest of its parents."""
    start = (folder or Path.cwd()).absolute()
    for place in (start, *start.parents):
        if (found := _read(place / FOLDER_NAME)) is not None:
            return found
    return None


def _read(folder: Path) -> Attached | None:
    try:
        record = folder / _RECORD_NAME
        if record.stat().st_uid != os.geteuid():
            return None  # anybody may leave such a file in a shared parent folder
        fields = json.loads(record.read_text())
        attached = Attached(**fields | {"folder": folder, "workflows": tuple(fields.get("workflows", ()))})
        running = is_held(lock_path(folder)) and owner_of(lock_path(folder)) == attached.pid
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return attached if running else None
