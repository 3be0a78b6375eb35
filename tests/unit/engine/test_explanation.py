"""Why a step is where it is, decided from rows: every reason there is, and what of them holds the run up."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.support.recording import graph
from workflow_engine import Retry, Workflow, compile_plan
from workflow_engine.engine.explanation import _BY_STATE, _GRAVITY, Situation, explain
from workflow_engine.ids import RunId
from workflow_engine.model.explanation import Explanation, ParentState, Reason, StepExplanation
from workflow_engine.model.run import RunState
from workflow_engine.model.step import StepState
from workflow_engine.store.explanations import Loads, RunFacts, StepFacts, TimerFacts, ToldFact, WorkerFacts

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
RUN = RunId("01a1fcce-62e8-7dc7-b332-9160bd77770e")
CHAIN = {"a": (), "b": ("a",)}


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def a_run(**facts: Any) -> RunFacts:
    given: dict[str, Any] = {
        "run_id": RUN,
        "plan_id": 1,
        "namespace": "default",
        "workflow": "w",
        "version": "1",
        "state": RunState.RUNNING,
        "error": None,
        "created_at": ago(100),
        "scheduled_at": None,
        "due_at": None,
        "expires_at": None,
        "started_at": ago(90),
        "finished_at": None,
        "at": NOW,
        "by_state": {},
        "leader": "host-1",
        "leader_heard_at": ago(0.5),
    }
    return RunFacts(**{**given, **facts})


def a_step(state: StepState, position: int = 0, **facts: Any) -> StepFacts:
    given: dict[str, Any] = {
        "run_id": RUN,
        "position": position,
        "attempt": 1,
        "forgiven": 0,
        "resends": 0,
        "ready_at": None,
        "dispatched_at": None,
        "started_at": None,
        "finished_at": None,
        "error_class": None,
        "error_message": None,
        "worker": None,
        "worker_heard_at": None,
        "is_dead_letter": False,
    }
    return StepFacts(**{**given, "state": state, **facts})


def a_worker(
    name: str = "w1@host", *, queues: Sequence[str] = ("celery",), heard: float = 1, **facts: Any
) -> WorkerFacts:
    return WorkerFacts(
        **{"id": name, "name": name, "queues": queues, "concurrency": 2, "heard_at": ago(heard), **facts}
    )


def told(name: str, step: str | None = None, seconds: float = 5, **data: Any) -> ToldFact:
    return ToldFact(run_id=RUN, name=name, step=step, occurred_at=ago(seconds), data=data)


def explained(
    *steps: StepFacts, workflow: Workflow | None = None, run: RunFacts | None = None, **more: Any
) -> Explanation:
    plan = compile_plan(workflow or graph(CHAIN))
    return explain(
        Situation(
            run=run or a_run(), plan=plan, steps=steps, lease=timedelta(seconds=15), default_queue="celery", **more
        )
    )


def only(*steps: StepFacts, **more: Any) -> StepExplanation:
    return explained(*steps, **more).steps[-1]


def test_a_step_waits_for_those_of_its_parents_that_have_not_succeeded() -> None:
    flow = graph({"a": (), "b": (), "c": (), "d": ("a", "b", "c")})
    running = a_step(StepState.RUNNING, 0, worker="w", worker_heard_at=NOW, started_at=ago(1))
    backing_off = a_step(StepState.RETRYING, 2, ready_at=ago(-5))

    step = only(running, backing_off, a_step(StepState.WAITING, 3), workflow=flow)

    assert step.reason is Reason.WAITS_FOR_PARENTS
    assert step.parents == (
        ParentState(step="a", state=StepState.RUNNING),
        ParentState(step="c", state=StepState.RETRYING),
    )
    assert step.sentence == "waits for a (running), c (retrying)"


def test_of_many_parents_some_are_named() -> None:
    names = [f"p{number}" for number in range(9)]
    flow = graph({**dict.fromkeys(names, ()), "end": tuple(names)})
    steps = [a_step(StepState.SUSPENDED, number) for number in range(9)]

    step = only(*steps, a_step(StepState.WAITING, 9), workflow=flow)

    assert step.sentence.endswith("p4 (suspended) and 4 more")
    assert len(step.parents) == 9


def test_a_failed_attempt_backs_off() -> None:
    flow = Workflow("w")
    flow.step(name="a", retry=Retry(max_attempts=5))(lambda ctx: None)
    step = a_step(
        StepState.RETRYING, attempt=9, forgiven=7, ready_at=ago(-12), error_class="Timeout", error_message="no answer"
    )

    found = explained(step, workflow=flow)

    assert (found.reason, found.step, found.until) == (Reason.BACKOFF, "a", ago(-12))
    assert (found.steps[0].attempt, found.steps[0].max_attempts) == (2, 5)
    assert found.sentence == ("step a failed with Timeout: no answer in attempt 2 of 5; the next one is due in 12.0 s")


def test_a_scheduled_start_is_waited_for() -> None:
    found = explained(a_step(StepState.READY, ready_at=ago(-3_700)), run=a_run(scheduled_at=ago(-3_700)))

    assert (found.reason, found.until) == (Reason.SCHEDULED, ago(-3_700))
    assert found.sentence == "step a is scheduled to start in 1 h 01 min"


def test_without_a_leader_nobody_hands_out_what_is_ready() -> None:
    never = only(a_step(StepState.READY, ready_at=ago(30)), run=a_run(leader=None, leader_heard_at=None))
    silent = only(a_step(StepState.RETRYING, ready_at=ago(30)), run=a_run(leader_heard_at=ago(20)))

    assert never.reason is silent.reason is Reason.NO_COORDINATOR
    assert never.since == ago(30)
    assert never.sentence == "has been ready for 30.0 s, and no coordinator leads that hands it out"
    assert silent.sentence.endswith("; host-1 did until 20.0 s ago")


def test_what_is_ready_is_about_to_be_handed_out() -> None:
    step = only(a_step(StepState.READY, ready_at=ago(0.2)))

    assert (step.reason, step.since) == (Reason.READY, ago(0.2))
    assert "coordinator host-1" in step.sentence


@pytest.mark.parametrize(("due", "ends"), [(ago(-4), "it is sent again in 4.00 s"), (ago(1), "it is sent again now")])
def test_what_was_given_back_says_why(due: datetime, ends: str) -> None:
    reason = "worker w2@host does not have w 1, step a"
    step = only(a_step(StepState.READY, ready_at=due), told=[told("step.released", "a", 6, reason=reason)])

    assert (step.reason, step.because) == (Reason.HANDED_BACK, reason)
    assert step.sentence == f"was given back 6.00 s ago: {reason}; {ends}"


def test_what_was_given_back_before_it_last_ran_is_over() -> None:
    step = a_step(StepState.RETRYING, ready_at=ago(1), started_at=ago(3))

    assert only(step, told=[told("step.released", "a", 6, reason="no")]).reason is Reason.READY


def test_a_paused_run_hands_out_nothing() -> None:
    found = explained(a_step(StepState.READY, ready_at=ago(30)), run=a_run(state=RunState.PAUSED))

    assert (found.reason, found.since) == (Reason.RUN_PAUSED, ago(30))
    assert found.sentence == "step a is ready, and its run is paused"


def test_a_queue_that_no_living_worker_serves_is_named() -> None:
    step = a_step(StepState.DISPATCHED, dispatched_at=ago(240))
    other, dead = a_worker("w1@host", queues=["mail"]), a_worker("w2@host", heard=200)

    without, bereft = only(step, workers=[other]), only(step, workers=[other, dead])

    assert without.reason is bereft.reason is Reason.NO_WORKER
    assert (without.queue, without.since) == ("celery", ago(240))
    assert without.sentence == "was sent to queue celery 4 min 00 s ago, which no living worker serves"
    assert bereft.since == ago(200)
    assert bereft.sentence.endswith("; the last one was heard of 3 min 20 s ago")


def test_a_worker_that_has_not_said_what_it_serves_may_serve_anything() -> None:
    step = a_step(StepState.DISPATCHED, dispatched_at=ago(3))

    assert only(step, workers=[a_worker(queues=[])]).reason is Reason.DISPATCHED


def test_busy_workers_and_what_is_before_it_are_counted() -> None:
    flow = graph({"a": (), "b": ()})
    steps = [a_step(StepState.DISPATCHED, number, dispatched_at=ago(9 - number)) for number in range(2)]
    loads = Loads(ahead={(RUN, None): 7}, running={"w1@host": 2, "w2@host": 1, "other": 9}, is_counted=True)
    workers = [a_worker(), a_worker("w2@host", concurrency=1), a_worker("other", queues=["mail"])]

    first, second = explained(*steps, workflow=flow, workers=workers, loads=loads).steps
    uncounted = only(steps[0], workers=workers, loads=replace(loads, is_counted=False))

    assert first.reason is second.reason is Reason.WORKERS_BUSY
    assert (first.slots, first.slots_taken, first.ahead, second.ahead) == (3, 3, 7, 8)
    assert first.sentence == "was sent to queue celery 9.00 s ago, whose workers run 3 of 3 steps; 7 before it"
    assert not uncounted.is_counted
    assert uncounted.sentence.endswith("at least 7 before it")


def test_slots_are_not_counted_where_a_worker_does_not_say_how_many_it_has() -> None:
    step = a_step(StepState.DISPATCHED, dispatched_at=ago(3))
    loads = Loads(ahead={}, running={"w1@host": 5}, is_counted=True)

    found = only(step, workers=[a_worker(concurrency=None)], loads=loads)

    assert (found.reason, found.slots, found.slots_taken) == (Reason.DISPATCHED, None, 5)


def test_what_was_sent_to_workers_with_room_is_on_its_way() -> None:
    step = a_step(StepState.DISPATCHED, dispatched_at=ago(3), resends=2)

    found = only(step, workers=[a_worker()])

    assert found.reason is Reason.DISPATCHED
    assert found.sentence == (
        "was sent to queue celery 3.00 s ago, and a worker has room for it; its message was sent again 2 times"
    )


def test_what_goes_to_and_fro_says_why() -> None:
    step = a_step(StepState.DISPATCHED, dispatched_at=ago(0.1))

    assert only(step, workers=[a_worker()], told=[told("step.released", "a", reason="no")]).reason is Reason.HANDED_BACK


def test_a_running_step_says_who_runs_it_and_for_how_long_at_most() -> None:
    flow = Workflow("w")
    flow.step(name="a", timeout=60)(lambda ctx: None)
    step = a_step(StepState.RUNNING, worker="w1@host", worker_heard_at=ago(1), started_at=ago(20))

    found = only(step, workflow=flow)

    assert (found.reason, found.worker, found.since, found.until) == (Reason.RUNNING, "w1@host", ago(20), ago(-40))
    assert found.sentence == "has run for 20.0 s on w1@host, heard of 1.00 s ago, for 40.0 s more at most"


@pytest.mark.parametrize(
    ("run", "ends"),
    [
        (a_run(), "a coordinator gives it away"),
        (a_run(leader_heard_at=None), "no coordinator leads that gives it away"),
    ],
)
def test_a_step_of_a_silent_worker_is_given_away(run: RunFacts, ends: str) -> None:
    known = a_step(StepState.RUNNING, worker="w1@host", worker_heard_at=ago(20), started_at=ago(50))
    unknown = a_step(StepState.RUNNING, started_at=ago(50))

    assert only(known, run=run).reason is only(unknown, run=run).reason is Reason.WORKER_SILENT
    assert only(known, run=run).sentence == (
        f"was started 50.0 s ago by w1@host, which was last heard of 20.0 s ago; {ends}"
    )


def test_a_suspended_step_waits() -> None:
    assert only(a_step(StepState.SUSPENDED, started_at=ago(5))).reason is Reason.SUSPENDED


def test_a_suspended_step_waits_for_its_signal_and_for_how_long() -> None:
    flow = Workflow("w")
    flow.wait_for_signal("approved", timeout=60)
    timers = [TimerFacts(run_id=RUN, kind="wake", due_at=ago(-30), position=0)]
    step = a_step(StepState.SUSPENDED, started_at=ago(30))

    (found,) = explained(step, workflow=flow, timers=timers).steps

    assert found.sentence == "waits for signal 'approved', for 30.0 s more at most"
    assert found.until == ago(-30)


def test_a_failed_step_waits_for_a_person_until_one_has_decided() -> None:
    step = a_step(StepState.FAILED, error_class="Boom", error_message="no", finished_at=ago(5), is_dead_letter=True)

    dead, closed = only(step), only(replace(step, is_dead_letter=False))

    assert (dead.reason, closed.reason) == (Reason.DEAD_LETTER, Reason.FAILED)
    assert closed.sentence == "failed with Boom: no in attempt 1 of 1"
    assert dead.sentence == closed.sentence + "; its dead letter waits for somebody to requeue or discard it"


def test_what_never_runs_says_because_of_what() -> None:
    skipped, cancelled = a_step(StepState.SKIPPED, 1), a_step(StepState.CANCELLED, 1)

    found = only(skipped, told=[told("step.skipped", "b", because="a")])
    other = only(cancelled, told=[told("step.cancelled", "b", because="the run was cancelled")])

    assert (found.reason, found.because) == (Reason.SKIPPED, "a")
    assert found.sentence == "was skipped, because a did not succeed"
    assert (other.reason, other.sentence) == (Reason.CANCELLED, "was cancelled: the run was cancelled")
    assert only(cancelled).sentence == "was cancelled"


@pytest.mark.parametrize(
    ("run", "reason", "sentence"),
    [
        (a_run(state=RunState.SUCCEEDED, finished_at=ago(60)), Reason.SUCCEEDED, "it succeeded after 40.0 s"),
        (
            a_run(state=RunState.CANCELLED, finished_at=ago(60)),
            Reason.CANCELLED,
            "it was cancelled by ada (enough), after 40.0 s",
        ),
        (
            a_run(state=RunState.EXPIRED, finished_at=ago(60)),
            Reason.EXPIRED,
            "it expired after 40.0 s: no step of it had started",
        ),
        (
            a_run(state=RunState.FAILED, finished_at=ago(60), error={"step": "a", "error_class": "Boom"}),
            Reason.FAILED,
            "it failed after 40.0 s: step a failed with Boom: no in attempt 1 of 1",
        ),
        (
            a_run(state=RunState.FAILED, finished_at=ago(60), error={"step": "z", "error_class": "E", "message": "m"}),
            Reason.FAILED,
            "it failed after 40.0 s: step z failed with E: m",
        ),
    ],
)
def test_a_run_that_has_ended_says_how(run: RunFacts, reason: Reason, sentence: str) -> None:
    steps = [a_step(StepState.FAILED, error_class="Boom", error_message="no")] if reason is Reason.FAILED else []

    found = explained(*steps, run=run, told=[told("run.cancelling", None, actor="ada", reason="enough")])

    assert (found.reason, found.sentence, found.since) == (reason, sentence, ago(60))


def test_a_run_that_is_being_cancelled_says_so_and_what_still_runs() -> None:
    running = a_step(StepState.RUNNING, worker="w", worker_heard_at=NOW, started_at=ago(1))
    found = explained(running, run=a_run(state=RunState.CANCELLING), told=[told("run.cancelling", None, actor="ada")])

    assert found.reason is Reason.RUNNING
    assert found.sentence.startswith("it is being cancelled by ada, and step a has run for 1.00 s on w")


def test_what_somebody_must_mend_comes_before_what_time_mends() -> None:
    flow = graph({"a": (), "b": (), "c": (), "d": ("a",)})
    steps = [
        a_step(StepState.RETRYING, 0, ready_at=ago(-5)),
        a_step(StepState.DISPATCHED, 1, dispatched_at=ago(50)),
        a_step(StepState.DISPATCHED, 2, dispatched_at=ago(60)),
        a_step(StepState.WAITING, 3),
    ]

    found = explained(*steps, workflow=flow)

    assert (found.reason, found.step, found.since) == (Reason.NO_WORKER, "b", ago(50))
    assert found.sentence.endswith("; so does 1 more step")


def test_a_run_without_any_step_to_wait_for_is_owned_up_to() -> None:
    assert explained().reason is Reason.UNKNOWN


def test_timers_are_named_after_their_steps() -> None:
    timers = [TimerFacts(run_id=RUN, kind="run_expiry", due_at=ago(-9), position=None)]
    timers += [TimerFacts(run_id=RUN, kind="step_ready", due_at=ago(-10), position=1)]
    run = a_run(state=RunState.PENDING, expires_at=ago(-9), due_at=ago(-99))

    found = explained(a_step(StepState.SUSPENDED), run=run, timers=timers)

    assert [(timer.kind, timer.step) for timer in found.timers] == [("run_expiry", None), ("step_ready", "b")]
    assert (found.expires_at, found.due_at) == (ago(-9), ago(-99))


def test_every_state_has_its_explanation_and_every_reason_of_a_step_that_may_move_its_gravity() -> None:
    ended = {Reason.DEAD_LETTER, Reason.FAILED, Reason.SKIPPED, Reason.CANCELLED, Reason.SUCCEEDED, Reason.EXPIRED}

    assert set(_BY_STATE) == set(StepState)
    assert set(_GRAVITY) == set(Reason) - ended - {Reason.UNKNOWN}
