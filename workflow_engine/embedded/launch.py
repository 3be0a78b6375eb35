"""Become another program that dies with its parent: the first thing every embedded process runs.

Run by path (``python -I -S launch.py OPTIONS PROGRAM ARG…``): standard library only, so that it costs 20 ms
and works whatever the current folder holds. A fresh process does here what a fork of a threaded one must not.
"""

import ctypes
import json
import os
import select
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CANNOT_LAUNCH = 126
GRACE_SECONDS = 5.0
PARENT_CHECK_SECONDS = 0.2

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522


def main(arguments: Sequence[str]) -> int:
    """Take the identity asked for, tie this process to its parent and become the program."""
    options: Mapping[str, Any] = json.loads(arguments[0])
    try:
        _take_identity(options)
        for path in options.get("reachable", ()):
            Path(path).stat()  # not os.access: that asks without the powers we may have kept
        if len(arguments) == 1:
            return 0
        _restore_signals()
        _tie_to_parent(options)
        os.execvp(arguments[1], list(arguments[1:]))  # noqa: S606 - becoming that program is the point
    except OSError as error:
        sys.stderr.write(f"cannot launch: {error}\n")
    return CANNOT_LAUNCH


def _take_identity(options: Mapping[str, Any]) -> None:
    uid, gid = options["uid"], options["gid"]
    if options["identity"] == "namespace":
        _enter_namespace(uid, gid)
    elif options["identity"] == "switched":
        _switch_user(uid, gid)
    elif options["identity"] == "overriding":
        _libc(b"prctl", _PR_SET_KEEPCAPS, 1, 0, 0, 0)
        _switch_user(uid, gid)
        _keep_override()


def _enter_namespace(uid: int, gid: int) -> None:
    """Be ``uid`` in a user namespace of our own; for everybody outside nothing changes."""
    outside_uid, outside_gid = os.geteuid(), os.getegid()
    _libc(b"unshare", _CLONE_NEWUSER)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{uid} {outside_uid} 1")
    _write("/proc/self/gid_map", f"{gid} {outside_gid} 1")


def _switch_user(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def _keep_override() -> None:
    """Keep one power of root, to pass through folders that only root may enter."""
    mask = 1 << _CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    _libc(b"capset", header, data)
    _libc(b"prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)


def _restore_signals() -> None:
    """Undo what Python sets for itself: an ignored signal would be inherited by the program."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _tie_to_parent(options: Mapping[str, Any]) -> None:
    death_signal = options["death_signal"]
    if options["watch"] is None:
        # after the change of user: that change clears it
        _libc(b"prctl", _PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
        if os.getppid() != options["parent"]:
            raise ProcessLookupError("its parent is gone already")
    else:
        _start_watcher(options["watch"], death_signal)


def _start_watcher(pipe: int, death_signal: int) -> None:
    """Leave a process behind that ends this one when nobody holds the other end of ``pipe``.

    Forked twice, so that the program never meets a child it did not start.
    """
    program = os.getpid()
    middle = os.fork()
    if middle:
        os.waitpid(middle, 0)
        os.close(pipe)
        return
    if os.fork():
        os._exit(0)
    os.setsid()  # out of the group it may have to kill
    os.closerange(0, pipe)  # in particular a lock, which must not outlive the program
    os.closerange(pipe + 1, 4096)
    _watch(pipe, program, death_signal)
    os._exit(0)


def _watch(pipe: int, program: int, death_signal: int) -> None:
    while not select.select([pipe], [], [], PARENT_CHECK_SECONDS)[0]:
        if not _send(program, 0):
            return
    _send(program, death_signal)
    for _ in range(round(GRACE_SECONDS / PARENT_CHECK_SECONDS)):
        if not _send(program, 0):
            return
        select.select([], [], [], PARENT_CHECK_SECONDS)
    _send(-program, signal.SIGKILL)


def _send(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except OSError:
        return False
    return True


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _libc(function: bytes, *arguments: Any) -> None:
    call = ctypes.CDLL(None, use_errno=True)[function.decode()]
    if call(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function.decode()}: {os.strerror(number)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
