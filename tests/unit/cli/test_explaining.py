"""How an explanation looks in a terminal."""

import pytest

from tests.support.recording import graph
from tests.unit.engine.test_explanation import a_run, a_step, ago, explained
from workflow_engine.cli.explaining import _show
from workflow_engine.model.step import StepState
from workflow_engine.model.timers import TimerKind
from workflow_engine.store.explanations import TimerFacts


def test_of_many_steps_twenty_are_named_for_each_reason_and_those_that_wait_come_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = [f"s{number}" for number in range(30)]
    flow = graph({**dict.fromkeys(names, ()), "end": tuple(names)})
    steps = [a_step(StepState.DISPATCHED, number, dispatched_at=ago(60)) for number in range(30)]

    _show(
        explained(*steps, a_step(StepState.WAITING, 30), workflow=flow, run=a_run(due_at=ago(-60)), is_complete=False)
    )

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("which no living worker serves; so do 29 more steps")
    assert lines[2].startswith("due at ")
    assert [line for line in lines if line.endswith(")")][:1] == ["no_worker (30)"]
    assert "and 10 more" in lines
    assert lines.index("no_worker (30)") < lines.index("waits_for_parents (1)")
    assert lines[-1] == "only 31 steps are explained; the run has more"


def test_timers_are_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    kinds = [*(kind for kind in TimerKind if kind is not TimerKind.SCHEDULE), "of_a_newer_release"]
    timers = [TimerFacts(run_id="r", kind=kind, due_at=ago(-60), position=None) for kind in kinds]
    timers.append(TimerFacts(run_id="r", kind=TimerKind.HEARTBEAT, due_at=ago(-60), position=0))

    _show(explained(a_step(StepState.WAITING, 0), timers=timers))

    told = [line.partition(" at ")[0] for line in capsys.readouterr().out.splitlines()]
    assert "reaches its timeout and fails" in told
    assert "fails the attempt, unless it shows a sign of life, (step a)" in told
    assert [line for line in told if line.startswith("timer ")] == ["timer of_a_newer_release"]
