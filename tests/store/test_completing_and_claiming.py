"""A step is completed and the next one claimed in one statement, whoever else is at work on the run."""

import json
from threading import Thread
from typing import Any

from tests.support.processes import wait_until
from tests.support.recording import A_CLAIM, WORKER, RecordingDispatcher, claim, key, submit
from workflow_engine import StepContext, Workflow
from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.engine.handlers import step as step_handlers
from workflow_engine.engine.processor import Processor
from workflow_engine.model.commands import CompleteStep, FollowStep, Onward
from workflow_engine.model.records import Completion
from workflow_engine.store.transaction import Store

diamond = Workflow("followed_diamond")


def _nothing(ctx: StepContext) -> None:
    del ctx


TOP, LEFT, RIGHT, BOTTOM = range(4)
for _name, _parents in {"top": "", "left": "top", "right": "top", "bottom": "left right"}.items():
    diamond.step(name=_name, after=_parents.split())(_nothing)


def completing(message: Dispatch, result: Any, follow: int | None = None, unknown: tuple[int, ...] = ()) -> Any:
    """Return the command of a worker that would go on with another step."""
    wanted = None if follow is None else FollowStep(
        position=follow, worker_id=WORKER, worker_name="test", unknown=unknown
    )  # fmt: skip
    return CompleteStep(
        **key(message), result=json.dumps(result), seconds=0.1, claim=A_CLAIM, onward=Onward(follow=wanted)
    )


def begun(processor: Processor, dispatcher: RecordingDispatcher) -> tuple[Dispatch, Dispatch]:
    """Return the messages of both sides of a diamond, each of them claimed."""
    submit(processor, diamond)
    top = dispatcher.take("top")
    claim(processor, top)
    processor.execute(completing(top, "t"))
    sides = dispatcher.take("left"), dispatcher.take("right")
    for side in sides:
        claim(processor, side)
    return sides


def test_a_parents_result_is_known_though_it_came_while_the_other_one_waited(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    left, right = begun(processor, dispatcher)
    answers: list[Completion] = []
    waiting = Thread(
        target=lambda: answers.append(processor.execute(completing(right, "r", follow=BOTTOM, unknown=(LEFT,))))
    )

    with store.transaction() as tx:
        complete_in(tx, processor, completing(left, "l"))
        waiting.start()
        wait_until(lambda: is_blocked(store), why="the other parent waits for the join")
    waiting.join(timeout=10)

    (answer,) = answers
    assert answer.following is not None
    assert (answer.following.position, answer.following.results) == (BOTTOM, {LEFT: "l"})
    assert not dispatcher.sent


def complete_in(tx: Any, processor: Processor, command: CompleteStep) -> None:
    """Complete a step in a transaction that somebody else ends."""
    assert step_handlers.complete_step(command, processor._scope(tx)) is not None


def is_blocked(store: Store) -> bool:
    """Tell whether somebody waits for a lock in this database."""
    with store.single() as tx:
        rows = tx.steps._connection.execute(
            "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchall()
    return bool(rows)


def test_who_did_not_hear_that_it_has_the_next_step_hears_it_when_it_asks_again(
    processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    left, right = begun(processor, dispatcher)
    processor.execute(completing(left, "l"))
    command = completing(right, "r", follow=BOTTOM, unknown=(LEFT,))
    first = processor.execute(command)

    again = processor.execute(command)

    assert first.following is not None
    assert again.following == first.following
    assert not dispatcher.sent


def test_a_step_that_somebody_else_has_is_not_claimed(processor: Processor, dispatcher: RecordingDispatcher) -> None:
    submit(processor, diamond)
    top = dispatcher.take("top")
    claim(processor, top)
    processor.execute(completing(top, "t"))
    left, right = dispatcher.take("left"), dispatcher.take("right")
    claim(processor, left)
    claim(processor, right)

    answer = processor.execute(completing(left, "l", follow=RIGHT))

    assert answer.following is None


def test_a_step_that_waits_for_this_worker_is_claimed_with_the_completion_of_another(
    processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    submit(processor, diamond)
    top = dispatcher.take("top")
    claim(processor, top)
    processor.execute(completing(top, "t"))
    left = dispatcher.take("left")
    claim(processor, left)

    answer = processor.execute(completing(left, "l", follow=RIGHT, unknown=(TOP,)))

    assert answer.following is not None
    assert (answer.following.position, answer.following.results) == (RIGHT, {TOP: "t"})
    assert claim(processor, dispatcher.take("right")) is None
