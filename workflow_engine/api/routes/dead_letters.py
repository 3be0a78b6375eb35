"""Steps that failed for good: find them, run them again, or give them up."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from workflow_engine.api.dependencies import Reading, ReadingEvents, Writing
from workflow_engine.api.pages import FIFTY, Cursor, Limit, Page, page_of, parse_cursor
from workflow_engine.api.schemas.dead_letters import (
    MOST_AT_ONCE,
    DeadLetter,
    DeadLettersWanted,
    LettersFilter,
    LettersHandled,
    dead_letter_of,
    letters_handled,
)
from workflow_engine.api.schemas.events import Event, event_of
from workflow_engine.api.schemas.lifecycle import Said
from workflow_engine.model.dead_letters import DeadLetterPlace, parse_run_id

router = APIRouter(prefix="/v1/dead-letters", tags=["dead letters"])

RunId = Annotated[str, Path(description="The run's id.")]
StepName = Annotated[str, Path(description="The step's name.")]
_NOTHING_SAID = Said()


@router.get("")
def list_dead_letters(
    asked: Reading,
    wanted: Annotated[LettersFilter, Query()],
    limit: Limit = FIFTY,
    cursor: Cursor = None,
) -> Page[DeadLetter]:
    """List the steps that failed for good, the newest first, without their tracebacks."""
    question = f"dead letters {asked.client.namespace} {wanted.model_dump_json()}"
    place = parse_cursor(question, cursor, datetime, str, int, int)
    before = None if place is None else _place(*place)
    found = asked.client.dead_letters.page(**wanted.values, limit=limit, before=before)
    return page_of(
        found,
        limit,
        dead_letter_of,
        question=question,
        place=lambda last: [last.failed_at, last.run_id, last.position, last.attempt],
    )


@router.get("/{run_id}/{step}")
def show_dead_letter(run_id: RunId, step: StepName, asked: Reading) -> DeadLetter:
    """Show the newest dead letter of a step, with the traceback of its last attempt."""
    return dead_letter_of(asked.client.dead_letters.get(f"{run_id}/{step}"))


@router.get("/{run_id}/{step}/history")
def list_history(run_id: RunId, step: StepName, asked: ReadingEvents) -> Page[Event]:
    """List what befell a step, the oldest first: the last 1,000 of its events."""
    found = asked.client.dead_letters.history(f"{run_id}/{step}")
    return Page.model_construct(items=[event_of(each) for each in found], next=None)


@router.post("/{run_id}/{step}/requeue")
def requeue_step(run_id: RunId, step: StepName, asked: Writing, body: Said = _NOTHING_SAID) -> DeadLetter:
    """Run a failed step again, with all its attempts before it; its run goes on."""
    actor = asked.caller.acts_as(body.actor)
    return dead_letter_of(asked.client.dead_letters.requeue(f"{run_id}/{step}", reason=body.reason, actor=actor))


@router.post("/{run_id}/{step}/discard")
def discard_step(run_id: RunId, step: StepName, asked: Writing, body: Said = _NOTHING_SAID) -> DeadLetter:
    """Give a failed step up for good; the run stays as it is."""
    actor = asked.caller.acts_as(body.actor)
    return dead_letter_of(asked.client.dead_letters.discard(f"{run_id}/{step}", reason=body.reason, actor=actor))


@router.post("/bulk/requeue", name="requeue_many")
def requeue_many(body: DeadLettersWanted, asked: Writing) -> LettersHandled:
    """Requeue the dead letters that fit, the newest 1,000. Each run's are requeued together, or refused together."""
    handled = asked.client.dead_letters.requeue_all(**_said(body), actor=asked.caller.acts_as(body.actor))
    return letters_handled(handled, dry_run=body.dry_run)


@router.post("/bulk/discard", name="discard_many")
def discard_many(body: DeadLettersWanted, asked: Writing) -> LettersHandled:
    """Discard the dead letters that fit, the newest 1,000."""
    handled = asked.client.dead_letters.discard_all(**_said(body), actor=asked.caller.acts_as(body.actor))
    return letters_handled(handled, dry_run=body.dry_run)


def _place(failed_at: datetime, run_id: str, position: int, attempt: int) -> DeadLetterPlace:
    return DeadLetterPlace(
        failed_at=failed_at, run_id=parse_run_id(run_id, field="cursor"), position=position, attempt=attempt
    )


def _said(body: DeadLettersWanted) -> dict[str, Any]:
    return body.said(without=frozenset({"actor"})) | {"most": MOST_AT_ONCE}
