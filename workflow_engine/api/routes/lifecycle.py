"""Change a run: update, delete, cancel, pause, resume, retry, rerun, resolve it, or tell it something.

Each is safe to repeat, and in the wrong state a 409 that names the state.
"""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from workflow_engine.api.dependencies import Writing
from workflow_engine.api.routes.runs import RunId
from workflow_engine.api.schemas.lifecycle import (
    Cancel,
    Changed,
    Rerun,
    Resolve,
    Retried,
    Retry,
    Said,
    Signal,
    SignalTaken,
    Update,
    Updated,
    retried,
)
from workflow_engine.api.schemas.runs import Submitted
from workflow_engine.client.handle import RunHandle
from workflow_engine.errors import RunEnded
from workflow_engine.model.run import RunState

router = APIRouter(prefix="/v1/runs/{run_id}", tags=["lifecycle"])

_SAID: Said = Said()
_CANCEL: Cancel = Cancel()
_RETRY: Retry = Retry()


@router.patch("")
def update_run(run_id: RunId, asked: Writing, body: Update) -> Updated:
    """Change what is said about a run that has not ended: priority, title, tags, metadata, when it is due."""
    run = asked.client.run(run_id)
    return Updated(id=run.id, changed=list(run.update(actor=asked.caller.acts_as(body.actor), **body.values)))


@router.delete("", status_code=HTTPStatus.NO_CONTENT)
def delete_run(
    run_id: RunId,
    asked: Writing,
    reason: Annotated[str | None, Query(max_length=2_000, description="Kept with the event of the deletion.")] = None,
) -> None:
    """Forget a run that has ended, its steps and results; its events stay in the log, its idempotency key is free."""
    asked.client.run(run_id).delete(reason, actor=asked.caller.acts_as(None))


@router.post("/cancel")
def cancel_run(run_id: RunId, asked: Writing, body: Cancel = _CANCEL) -> Changed:
    """Cancel a run: what has not started never will, what runs gets some time to end.

    A run that has ended otherwise is a 409.
    """
    run = asked.client.run(run_id)
    changed = run.cancel(body.reason, actor=asked.caller.acts_as(body.actor), grace=body.grace)
    now = _changed(run, changed=changed)
    if not changed and now.state is not RunState.CANCELLED:
        raise RunEnded(run.id, now.state)
    return now


@router.post("/pause")
def pause_run(run_id: RunId, asked: Writing, body: Said = _SAID) -> Changed:
    """Start nothing more of a run; what runs may end, and timers go on."""
    run = asked.client.run(run_id)
    return _changed(run, changed=run.pause(body.reason, actor=asked.caller.acts_as(body.actor)))


@router.post("/resume")
def resume_run(run_id: RunId, asked: Writing, body: Said = _SAID) -> Changed:
    """Let a paused run go on."""
    run = asked.client.run(run_id)
    return _changed(run, changed=run.resume(body.reason, actor=asked.caller.acts_as(body.actor)))


@router.post("/retry")
def retry_run(run_id: RunId, asked: Writing, body: Retry = _RETRY) -> Retried:
    """Run what has failed again, with all its attempts before it, and what ended because of it; the run goes on."""
    run = asked.client.run(run_id)
    found = run.retry(body.steps, reason=body.reason, actor=asked.caller.acts_as(body.actor))
    return retried(run.id, run.state, found.requeued, found.restored)


@router.post(
    "/rerun",
    status_code=HTTPStatus.CREATED,
    responses={200: {"model": Submitted, "description": "The run that the `idempotency_key` belongs to."}},
)
def rerun_run(run_id: RunId, asked: Writing, body: Rerun, response: Response) -> Submitted:
    """Do a step of a run that has ended again, and all that comes after it, in a new run of the same version.

    The new run has the same input, and the results of what does not come after the step.
    """
    made = asked.client.run(run_id).rerun(
        body.step, idempotency_key=body.idempotency_key, reason=body.reason, actor=asked.caller.acts_as(body.actor)
    )
    found = asked.links.of(made.id)
    if not made.created:
        response.status_code = HTTPStatus.OK
    response.headers["Location"] = found.itself
    return Submitted.model_construct(id=made.id, created=made.created, links=found)


@router.post("/steps/{step}/resolve")
def resolve_step(
    run_id: RunId,
    step: Annotated[str, Path(description="The step's name.")],
    asked: Writing,
    body: Resolve,
) -> Changed:
    """Say by hand what a step's result is: it has succeeded, and a run that had failed because of it goes on."""
    run = asked.client.run(run_id)
    changed = run.resolve(step, body.result, reason=body.reason, actor=asked.caller.acts_as(body.actor))
    return _changed(run, changed=changed)


@router.post("/signals/{name}")
def signal_run(
    run_id: RunId,
    name: Annotated[str, Path(description="The signal's name.")],
    asked: Writing,
    body: Signal,
) -> SignalTaken:
    """Give a run a signal: the step that has waited for it longest goes on, or the next one that comes to wait."""
    run = asked.client.run(run_id)
    taken = run.signal(name, body.payload, actor=asked.caller.acts_as(body.actor), key=body.key)
    return SignalTaken(id=run.id, signal=name, taken=taken)


def _changed(run: RunHandle, *, changed: bool) -> Changed:
    return Changed(id=run.id, state=run.state, changed=changed)
