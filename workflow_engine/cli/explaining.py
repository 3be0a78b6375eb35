"""``wfe runs explain``: why a run does not move, readable at a glance."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from workflow_engine.cli.engines import engine_here
from workflow_engine.cli.output import as_json_option, as_values, moment, print_json, print_table, state, yielding
from workflow_engine.model.explanation import Explanation, PendingTimer, Reason, StepExplanation
from workflow_engine.model.timers import TimerKind

_NAMED: Final = 20
"""Steps of a reason that are named; more are counted."""

_TIMERS: Final[Mapping[str, str]] = {
    TimerKind.STEP_READY: "steps are due",
    TimerKind.RUN_EXPIRY: "expires, unless a step has started,",
    TimerKind.HEARTBEAT: "fails the attempt, unless it shows a sign of life,",
    TimerKind.STEP_TIMEOUT: "the attempt reaches the timeout of its step",
    TimerKind.WAKE: "the step has waited long enough",
    TimerKind.REMINDER: "reminds that it is due",
    TimerKind.OVERDUE: "is overdue",
    TimerKind.RUN_TIMEOUT: "reaches its timeout and fails",
    TimerKind.CANCEL_GRACE: "counts as cancelled, whatever of it still runs,",
}
"""What will happen when a timer of a run comes due; the others belong to no run."""


@click.command()
@click.argument("run_id")
@as_json_option
def explain(run_id: str, as_json: bool) -> None:
    """Say why run RUN_ID does not move, or how it ended: first what holds it up, then why each step is where it is."""
    with engine_here() as engine:
        found = engine.client.explain(run_id)
    if as_json:
        print_json(explanation_as_json(found))
    else:
        _show(found)


def explanation_as_json(found: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON values."""
    steps = [as_values(step) | {"parents": [as_values(parent) for parent in step.parents]} for step in found.steps]
    return as_values(found) | {"steps": steps, "timers": [as_values(timer) for timer in found.timers]}


def _show(found: Explanation) -> None:
    click.echo(f"{found.run_id} is {found.state}: {found.sentence}")
    click.echo(f"{found.workflow} {found.version}, {found.succeeded} of {found.total} steps have succeeded")
    for line in _moments(found):
        click.echo(line)
    for reason, steps in by_reason(found.steps).items():
        click.echo(f"\n{reason} ({len(steps)})")
        print_table(
            ["STEP", "STATE", "SINCE", "UNTIL", "WHY"],
            [
                [step.step, state(step.state), moment(step.since), moment(step.until), yielding(step.sentence)]
                for step in steps[:_NAMED]
            ],
            giving_way=["WHY"],
        )
        if len(steps) > _NAMED:
            click.echo(f"and {len(steps) - _NAMED} more")
    if not found.is_complete:
        click.echo(f"\nonly {len(found.steps)} steps are explained; the run has more")


def by_reason(steps: Sequence[StepExplanation]) -> dict[Reason, list[StepExplanation]]:
    """Return steps by reason, those that wait for others last."""
    groups: dict[Reason, list[StepExplanation]] = {}
    for step in sorted(steps, key=lambda each: each.reason is Reason.WAITS_FOR_PARENTS):
        groups.setdefault(step.reason, []).append(step)
    return groups


def _moments(found: Explanation) -> list[str]:
    lines = []
    if found.due_at is not None:
        lines.append(f"due at {moment(found.due_at)}")
    if found.expires_at is not None:
        lines.append(f"expires at {moment(found.expires_at)} unless a step has started")
    lines += [f"{_announced(timer)} at {moment(timer.due_at)}" for timer in found.timers]
    return lines


def _announced(timer: PendingTimer) -> str:
    words = _TIMERS.get(timer.kind, f"timer {timer.kind}")  # a newer release may have other kinds
    return f"{words} (step {timer.step})" if timer.step else words
