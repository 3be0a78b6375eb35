"""Who an embedded server runs as. PostgreSQL refuses root, and ``initdb`` wants a name for its user id."""

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from workflow_engine.embedded import launch
from workflow_engine.errors import ConfigurationError


class IdentityKind(StrEnum):
    """How a child process comes to be somebody."""

    SAME = "same"  # as this process
    NAMESPACE = "namespace"  # another user id in a user namespace of its own, for the rest of the machine the same
    SWITCHED = "switched"  # another user
    OVERRIDING = "overriding"  # another user, who may pass through folders of root


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A user a child process runs as; ``owner`` is who must own its files, seen from here."""

    kind: IdentityKind
    uid: int
    gid: int
    owner: tuple[int, int]

    def as_options(self) -> dict[str, object]:
        """Return the part of the launcher's options that says who to be."""
        return {"identity": self.kind.value, "uid": self.uid, "gid": self.gid}


def same_identity() -> Identity:
    """Return the identity of this process."""
    uid, gid = os.geteuid(), os.getegid()
    return Identity(kind=IdentityKind.SAME, uid=uid, gid=gid, owner=(uid, gid))


def unprivileged_identity(reachable: Sequence[Path]) -> Identity:
    """Return an identity that is not root, has a name, and gets to the given files."""
    uid = os.geteuid()
    if uid != 0 and _has_name(uid):
        return same_identity()
    reasons = []
    for identity in _candidates():
        reason = _try(identity, reachable)
        if reason is None:
            return identity
        reasons.append(f"{identity.kind.value}: {reason}")
    who = "as root" if uid == 0 else f"as user id {uid}, which has no name in the user database,"
    raise ConfigurationError(
        f"PostgreSQL does not run {who} and no other way works here; run as an ordinary user ({'; '.join(reasons)})"
    )


def _candidates() -> Iterator[Identity]:
    user = _nobody()
    uid, gid = os.geteuid(), os.getegid()
    if sys.platform == "linux":
        yield Identity(kind=IdentityKind.NAMESPACE, uid=user.pw_uid, gid=user.pw_gid, owner=(uid, gid))
    if uid == 0:
        yield _other_user(IdentityKind.SWITCHED, user)
    if uid == 0 and sys.platform == "linux":
        yield _other_user(IdentityKind.OVERRIDING, user)


def _other_user(kind: IdentityKind, user: pwd.struct_passwd) -> Identity:
    return Identity(kind=kind, uid=user.pw_uid, gid=user.pw_gid, owner=(user.pw_uid, user.pw_gid))


def _nobody() -> pwd.struct_passwd:
    """Return the user ``nobody``, else any that is not root."""
    users = [user for user in pwd.getpwall() if user.pw_uid != 0]
    users.sort(key=lambda user: user.pw_name != "nobody")
    if not users:
        raise ConfigurationError("PostgreSQL needs a user other than root, and this machine has none")
    return users[0]


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _try(identity: Identity, reachable: Sequence[Path]) -> str | None:
    """Return why ``identity`` does not work here, or ``None``."""
    options = json.dumps(identity.as_options() | {"reachable": [str(path) for path in reachable]})
    trial = subprocess.run(  # noqa: S603 - our own launcher
        [sys.executable, "-I", "-S", launch.__file__, options],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return None if trial.returncode == 0 else trial.stderr.strip() or f"exit code {trial.returncode}"
