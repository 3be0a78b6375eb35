"""What a notice of readiness says, and the rules that decide what follows from it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Final

from workflow_engine.ids import RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadinessNotice:
    """What a trigger tells: steps of a run are ready, or the run has moved, outside the hot path."""

    run_id: RunId
    namespace: str | None
    """None where the names together were too long for a notification."""
    priority: int | None
    """The run's own, 0 (low) to 3 (critical), if it has one."""
    ready_steps: int
    """How many steps of the run are ready, as the transaction saw it."""
    triggered_by: str
    """``step_ready`` or ``run_state``."""
    run_state: str | None = None
    step_id: str | None = None
    """The step's name, if it is the only one."""
    step_state: str | None = None
    sent_at: float | None = None
    """Seconds since 1970, by PostgreSQL's clock."""

    @classmethod
    def parse(cls, payload: str) -> "ReadinessNotice | None":
        """Return what a payload says; None if it is none of ours: anybody may notify."""
        try:
            fields: dict[str, Any] = json.loads(payload)
            return cls(**{name: fields[name] for name in cls.__dataclass_fields__ if name in fields})
        except (ValueError, TypeError):
            return None


class ReadinessAction(StrEnum):
    """What follows from a notice."""

    PROCESS_READINESS = "process_readiness"
    """Dispatch what is ready of the run, at once."""
    IGNORE = "ignore"
    """Nothing: what is ready waits for the fallback poller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadinessRule:
    """What to do about notices of a kind; each field is a shell pattern (``*``, ``?``), and all must fit."""

    action: ReadinessAction
    triggered_by: str = "*"
    namespace: str = "*"
    run_state: str = "*"
    step_state: str = "*"

    def covers(self, notice: ReadinessNotice) -> bool:
        """Return whether the rule is about a notice."""
        return all(
            fnmatchcase(getattr(notice, name) or "", getattr(self, name))
            for name in ("triggered_by", "namespace", "run_state", "step_state")
        )


DEFAULT_RULES: Final = (
    # A run that moved elsewhere has nothing to dispatch: of its steps, if any is ready, another notice tells.
    ReadinessRule(triggered_by="run_state", run_state="running", action=ReadinessAction.PROCESS_READINESS),
    ReadinessRule(triggered_by="run_state", action=ReadinessAction.IGNORE),
    ReadinessRule(action=ReadinessAction.PROCESS_READINESS),
)
"""What holds where no rule of the settings does."""


def classify(notice: ReadinessNotice, rules: Sequence[ReadinessRule]) -> ReadinessAction:
    """Return what the first rule that covers a notice says; rules of the settings come before the default ones."""
    for rule in (*rules, *DEFAULT_RULES):
        if rule.covers(notice):
            return rule.action
    return ReadinessAction.PROCESS_READINESS
