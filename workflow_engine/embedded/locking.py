"""Locks on a folder: who runs in it, and whether anything of an earlier owner is left."""

import errno
import fcntl
import os
import threading
import time
from pathlib import Path

from workflow_engine.embedded.folders import read_text, usable
from workflow_engine.errors import ConfigurationError

_RETRY_SECONDS = 0.02
_PROBE_SECONDS = 0.3  # a reader that asks `is_held` holds the lock for an instant
_ORPHAN_SECONDS = 10.0


class AlreadyRunning(ConfigurationError):
    """The folder is in use by a process that lives."""

    def __init__(self, folder: Path, pid: int | None) -> None:
        who = f"process {pid}" if pid else "a process that was left over"
        super().__init__(f"{folder} is in use by {who}; stop it first or choose another folder")
        self.folder = folder
        self.pid = pid


class FolderLock:
    """An exclusive ``flock`` on a file, with the id of the process that holds it inside.

    An ``inherited`` one is for the descriptors of children: it lasts until the last of them has ended, so taking
    it waits for orphans and then proves that there are none. The other ends with its process, even by kill -9.
    """

    def __init__(self, path: Path, *, inherited: bool = False) -> None:
        self._path = path
        self._inherited = inherited
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        """The descriptor that children inherit."""
        if self._descriptor is None:
            raise RuntimeError(f"{self._path} is not locked")
        return self._descriptor

    def acquire(self) -> None:
        """Take the lock, or raise :class:`AlreadyRunning`."""
        with usable(self._path.parent):
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._wait()
        except BaseException:
            self.release()
            raise
        os.truncate(self._descriptor, 0)
        if not self._inherited:
            os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let go of it; children that are still ending keep theirs until they have."""
        if self._descriptor is not None:
            os.close(self._descriptor)  # not LOCK_UN: that would unlock it for the children too
            self._descriptor = None

    def _wait(self) -> None:
        deadline = time.monotonic() + (_ORPHAN_SECONDS if self._inherited else _PROBE_SECONDS)
        while not _try_lock(self.descriptor, self._path):
            if time.monotonic() > deadline:
                raise AlreadyRunning(self._path.parent, owner_of(self._path))
            threading.Event().wait(_RETRY_SECONDS)


def owner_of(path: Path) -> int | None:
    """Return the process that took the lock ``path`` last; it holds it if anybody does."""
    text = read_text(path) or ""
    return int(text) if text.isdigit() else None


def is_held(path: Path) -> bool:
    """Tell whether some process holds the lock ``path`` now."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _try_lock(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in {errno.ENOLCK, errno.EOPNOTSUPP}:
            raise ConfigurationError(f"the file system of {path.parent} has no locks; choose a local folder") from error
        raise
    return True
