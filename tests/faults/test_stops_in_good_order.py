"""SIGTERM to a worker with steps in flight: it finishes those it runs, and others get those it had only fetched."""

from tests.acceptance import flows
from tests.fixtures.stages import StageMaker
from tests.support.checker import check
from tests.support.processes import event_names, wait_for_all, wait_until


def test_a_worker_told_to_stop_finishes_its_step_while_others_run_what_it_had_fetched(new_stage: StageMaker) -> None:
    with new_stage() as stage:
        stage.start_coordinator()
        stopping = stage.start_worker("-c1", "--prefetch-multiplier=4")
        held, *fetched = (stage.submit(flows.gated, {"gate": gate}) for gate in ("last", "open", "open", "open"))
        stage.wait_for_call(held, "hold")
        wait_until(lambda: stopping.log.read_text().count("received") == 4, why="it has fetched them all")
        stage.open_gate("open")

        stopping.tell_to_stop()
        stage.start_worker("-c1")

        assert wait_for_all(fetched) == ["succeeded"] * 3
        assert stopping.is_alive(), "it still runs its step"
        stage.open_gate("last")
        assert wait_for_all([held]) == ["succeeded"]
        wait_until(lambda: not stopping.is_alive(), why="it has nothing left to do")
        assert event_names(held, step="hold") == ["step.dispatched", "step.started", "step.completed"]
        assert [event_names(run, "step.lost") for run in fetched] == [[], [], []]
        check(stage)
