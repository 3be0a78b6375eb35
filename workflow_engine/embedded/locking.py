"""A lock on a folder that child processes inherit: whoever takes it knows that nothing is left running."""

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


class AlreadyRunning(ConfigurationError):
    """The folder is in use by a process that lives."""

    def __init__(self, folder: Path, pid: int | None) -> None:
        who = f"process {pid}" if pid else "a process that was left over"
        super().__init__(f"{folder} is in use by {who}; stop it first or choose another folder")
        self.folder = folder
        self.pid = pid


class FolderLock:
    """An exclusive ``flock`` on a file; it lasts until the last process that inherited it has closed it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        """The descriptor that children inherit."""
        if self._descriptor is None:
            raise RuntimeError(f"{self._path} is not locked")
        return self._descriptor

    def acquire(self, *, timeout: float = 10.0) -> None:
        """Take the lock; wait for orphans that are about to end, but not for an owner that lives."""
        started = time.monotonic()
        with usable(self._path.parent):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            while not _try_lock(descriptor, self._path):
                self._give_up_after(time.monotonic() - started, timeout)
                threading.Event().wait(_RETRY_SECONDS)
        except BaseException:
            os.close(descriptor)
            raise
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go of it; children that are still ending keep it until they have."""
        if self._descriptor is None:
            return
        os.truncate(self._descriptor, 0)  # the owner lives on, but owns nothing any more
        os.close(self._descriptor)  # not LOCK_UN: that would unlock it for the children too
        self._descriptor = None

    def _give_up_after(self, waited: float, timeout: float) -> None:
        pid = owner_of(self._path)
        if pid is not None and waited > _PROBE_SECONDS:
            raise AlreadyRunning(self._path.parent, pid)
        if waited > timeout:
            raise AlreadyRunning(self._path.parent, None)


def owner_of(path: Path) -> int | None:
    """Return the process that took the lock ``path``, if it lives."""
    text = read_text(path) or ""
    if not text.isdigit():
        return None
    try:
        os.kill(int(text), 0)
    except ProcessLookupError:
        return None
    except PermissionError:  # it lives, as another user
        pass
    return int(text)


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
            raise ConfigurationError(
                f"the file system of {path.parent} has no locks; choose a local folder"
            ) from error
        raise
    return True
