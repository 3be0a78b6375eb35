"""Change a run: cancel it, tell it something."""

from typing import Annotated

from fastapi import APIRouter, Path

from workflow_engine.api.dependencies import RunsClient, Writer
from workflow_engine.api.routes.runs import RunId
from workflow_engine.api.schemas.lifecycle import Changed, Said, Signal, SignalTaken
from workflow_engine.errors import RunEnded
from workflow_engine.model.run import RunState

router = APIRouter(prefix="/v1/runs/{run_id}", tags=["lifecycle"])

_NOTHING_SAID = Said()


@router.post("/cancel")
def cancel_run(run_id: RunId, client: RunsClient, caller: Writer, body: Said = _NOTHING_SAID) -> Changed:
    """Cancel a run: what has not started never will, what runs may end. A run that has ended otherwise is a 409."""
    run = client.run(run_id)
    changed = run.cancel(body.reason, actor=caller.acts_as(body.actor))
    state = run.state
    if not changed and state is not RunState.CANCELLED:
        raise RunEnded(run.id, state)
    return Changed(id=run.id, state=state, changed=changed)


@router.post("/signals/{name}")
def signal_run(
    run_id: RunId,
    name: Annotated[str, Path(description="The signal's name.")],
    client: RunsClient,
    caller: Writer,
    body: Signal,
) -> SignalTaken:
    """Give a run a signal: the step that has waited for it longest goes on, or the next one that comes to wait."""
    run = client.run(run_id)
    taken = run.signal(name, body.payload, actor=caller.acts_as(body.actor), key=body.key)
    return SignalTaken(id=run.id, signal=name, taken=taken)
