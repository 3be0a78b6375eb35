"""What ``wfe dead-letters`` says of steps that failed for good, and does with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
from rich.text import Text

from workflow_engine.cli.output import (
    as_values,
    moment,
    moment_briefly,
    print_facts,
    print_json,
    print_table,
    print_text,
    yielding,
)
from workflow_engine.cli.watching import change_line
from workflow_engine.client.dead_letters import PAGE_LIMIT, DeadLetters, Handled, Refused
from workflow_engine.errors import DeadLetterNotFound, NotDead
from workflow_engine.model.dead_letters import StepDeadLetter

DONE: Mapping[str, str] = {"requeue": "requeued", "discard": "discarded"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which steps, and what is said about them."""

    ids: Sequence[str]
    """Those named; if none is, whichever fit the filter."""
    filter: Mapping[str, Any]
    dry_run: bool
    reason: str | None
    actor: str


def as_json(letter: StepDeadLetter) -> dict[str, Any]:
    """Return a dead letter as values for JSON."""
    return {"kind": "step", "id": letter.id, **as_values(letter)}


def newest(letters: DeadLetters, limit: int, wanted: Mapping[str, Any]) -> list[StepDeadLetter]:
    """Return the newest dead letters that fit, read page by page."""
    found: list[StepDeadLetter] = []
    while len(found) < limit:
        size = min(limit - len(found), PAGE_LIMIT)
        page = letters.page(**wanted, limit=size, before=found[-1] if found else None)
        found += page
        if len(page) < size:
            break
    return found


def print_letters(letters: Sequence[StepDeadLetter]) -> None:
    """Print a table."""
    columns = ["STEP", "WORKFLOW", "FAILED", "ATTEMPTS", "STATE", "ERROR"]
    print_table(columns, [_row(each) for each in letters], giving_way=["WORKFLOW", "ERROR"])


def show(letters: DeadLetters, name: str, *, json: bool) -> None:
    """Print one dead letter: its error, and what befell the step.

    Raises:
        DeadLetterNotFound: there is none.
    """
    letter, history = letters.get(name), letters.history(name)
    if json:
        print_json({**as_json(letter), "history": [as_values(event) for event in history]})
        return
    print_facts(
        {
            "step": letter.id,
            "workflow": f"{letter.workflow} {letter.version}",
            "state": letter.state,
            "failed": moment(letter.failed_at),
            "attempts": str(letter.attempts),
            "error": f"{letter.error_class}: {letter.message}",
            "closed": moment(letter.closed_at) or None,
            "by": letter.closed_by,
            "reason": letter.reason,
        }
    )
    click.echo()
    for line in filter(None, map(change_line, history)):
        print_text(line)
    if letter.traceback:
        click.echo()
        print_text(letter.traceback.rstrip())


def act(letters: DeadLetters, act: str, wanted: Wanted, *, json: bool) -> bool:
    """Requeue or discard steps and say what came of each; return whether none was refused.

    Raises:
        DeadLetterNotFound: none is as wanted; nothing is done.
    """
    handled = _each(letters, act, wanted) if wanted.ids else _all(letters, act, wanted)
    if not handled.done and not handled.refused:
        raise DeadLetterNotFound("no step that failed for good is as wanted")
    done = f"would {act}" if wanted.dry_run else DONE[act]
    if json:
        print_json(
            {
                done.replace(" ", "_"): len(handled.done),
                "steps": [each.id for each in handled.done],
                "refused": [as_values(each) for each in handled.refused],
            }
        )
    for each in [] if json else handled.done:
        click.echo(f"{done} {each.id}")
    for refused in handled.refused:
        click.echo(f"refused {refused.id}: {refused.why}", err=True)
    return not handled.refused


def _each(letters: DeadLetters, act: str, wanted: Wanted) -> Handled:
    found = [letters.get(each) for each in wanted.ids]  # before anything is done: a wrong one spoils it all
    if wanted.dry_run:
        return Handled(done=found, refused=())
    done, refused = [], []
    for letter in found:
        one = letters.requeue if act == "requeue" else letters.discard
        try:
            done.append(one(letter.id, reason=wanted.reason, actor=wanted.actor))
        except NotDead as error:
            refused.append(Refused(id=letter.id, why=str(error)))
    return Handled(done=done, refused=refused)


def _all(letters: DeadLetters, act: str, wanted: Wanted) -> Handled:
    all_that_fit = letters.requeue_all if act == "requeue" else letters.discard_all
    return all_that_fit(dry_run=wanted.dry_run, reason=wanted.reason, actor=wanted.actor, **wanted.filter)


def _row(letter: StepDeadLetter) -> list[str | Text]:
    error = yielding(f"{letter.error_class}: {letter.message}")
    failed = moment_briefly(letter.failed_at)
    return [letter.id, yielding(letter.workflow), failed, str(letter.attempts), letter.state, error]
