"""Caller: who asks, and what they may do. How that is found out is the business of ``authentication.py``."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

from workflow_engine.api.refusals import Forbidden

ANY_NAMESPACE: Final = "*"


class Scope(StrEnum):
    """What a caller may be allowed to do."""

    RUNS_READ = "runs:read"
    """See workflows, runs, steps, schedules, dead letters and workers."""
    RUNS_WRITE = "runs:write"
    """Submit and change runs, schedules and dead letters."""
    EVENTS_READ = "events:read"
    """Read events, also as a stream."""
    ADMIN = "admin"
    """All of it, and act in the name of others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks."""

    subject: str | None
    """The actor of what they do; None where nobody had to say who they are."""
    scopes: frozenset[str]
    namespaces: frozenset[str]
    """``*`` among them is every one."""
    expires_at: float | None = None
    """When their token does, in seconds since 1970."""

    def may(self, scope: Scope) -> bool:
        """Tell whether they have a scope; ``admin`` has all."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    @property
    def sees_all(self) -> bool:
        """Whether every namespace is theirs."""
        return ANY_NAMESPACE in self.namespaces

    def sees(self, namespace: str) -> bool:
        """Tell whether a namespace is one of theirs."""
        return self.sees_all or namespace in self.namespaces

    def namespace(self, named: str | None, default: str) -> str:
        """Return the namespace of a request: the one it names, the caller's only one, or ``default``.

        Raises:
            Forbidden: it is none of theirs.
        """
        wanted = named
        if wanted is None:
            wanted = next(iter(self.namespaces)) if len(self.namespaces) == 1 else default
            wanted = default if wanted == ANY_NAMESPACE else wanted
        if not self.sees(wanted):
            raise Forbidden(f"namespace {wanted[:100]!r} is none of yours", field="namespace")
        return wanted

    def require(self, scope: Scope) -> Self:
        """Return the caller if they have a scope.

        Raises:
            Forbidden: they do not.
        """
        if not self.may(scope):
            challenge = f'Bearer realm="workflow-engine", error="insufficient_scope", scope="{scope.value}"'
            raise Forbidden(
                f"that needs the scope {scope.value!r}", field="scope", headers={"WWW-Authenticate": challenge}
            )
        return self

    def acts_as(self, said: str | None, field: str = "actor") -> str | None:
        """Return the actor of what they ask for: themselves, or whom an ``admin`` names.

        Raises:
            Forbidden: they name somebody else, and are no admin.
        """
        if said is None or said == self.subject:
            return self.subject
        if not self.may(Scope.ADMIN):
            raise Forbidden(f"only an admin may act in the name of somebody else: leave {field!r} out", field=field)
        return said

    def kept(self) -> dict[str, Any]:
        """Return what ``restored`` makes the caller of again, as JSON values."""
        return {
            "subject": self.subject,
            "scopes": sorted(self.scopes),
            "namespaces": sorted(self.namespaces),
            "expires_at": self.expires_at,
        }

    @classmethod
    def restored(cls, kept: Mapping[str, Any]) -> Self:
        """Return the caller that was kept."""
        return cls(
            subject=kept["subject"],
            scopes=frozenset(kept["scopes"]),
            namespaces=frozenset(kept["namespaces"]),
            expires_at=kept["expires_at"],
        )


OPEN: Final = Caller(subject=None, scopes=frozenset(Scope), namespaces=frozenset({ANY_NAMESPACE}))
"""Everybody, where authentication is off."""
