"""A graph of any shape runs to its end, each step once, and tells how."""

from itertools import pairwise

from tests.acceptance import flows
from tests.support.processes import Stage, count_completions, event_names, states


def test_a_diamond_ends_with_the_result_of_its_sink(running: Stage) -> None:
    run = running.submit(flows.diamond, {"n": 20}).wait(timeout=20)

    assert run.state == "succeeded"
    assert run.result == {"bottom": {"left": 21, "right": 40}}
    assert run.error is None


def test_a_graph_that_no_nesting_of_chords_has_runs_without_barriers(running: Stage) -> None:
    run = running.submit(flows.lattice).wait(timeout=20)

    assert run.result == flows.LATTICE_RESULT


def test_a_fan_out_of_two_hundred_joins_once_with_every_part(running: Stage) -> None:
    run = running.submit(flows.fan).wait(timeout=40)

    assert run.result == flows.FAN_RESULT
    assert set(count_completions(run).values()) == {1}
    assert len(count_completions(run)) == flows.FAN_WIDTH + 2
    assert len(running.traced(run, "total")) == 1


def test_steps_tell_their_whole_story(running: Stage) -> None:
    run = running.submit(flows.diamond, {"n": 1}).wait(timeout=20)

    steps = run.steps()

    assert [step.name for step in steps] == ["top", "left", "right", "bottom"]
    assert {step.attempt for step in steps} == {1}
    assert {step.state.value for step in steps} == {"succeeded"}
    assert [step.result for step in steps] == [1, 2, 2, {"left": 2, "right": 2}]
    assert {step.error for step in steps} == {None}
    for step in steps:
        moments = [step.dispatched_at, step.started_at, step.finished_at]
        assert None not in moments
        assert moments == sorted(moment for moment in moments if moment)
        assert step.worker is not None


def test_events_tell_every_change_in_order_and_each_once(running: Stage) -> None:
    run = running.submit(flows.diamond, {"n": 1}).wait(timeout=20)

    events = run.events()
    names = [event.name for event in events]

    assert names[0] == "run.submitted"
    assert names[-1] == "run.succeeded"
    assert names.count("run.started") == 1
    for step in states(run):
        assert event_names(run, step=step) == ["step.dispatched", "step.started", "step.completed"]
    assert all(earlier.position < later.position for earlier, later in pairwise(events))
    assert len({event.event_id for event in events}) == len(events)


def test_events_can_be_read_from_where_one_stopped(running: Stage) -> None:
    run = running.submit(flows.diamond, {"n": 1}).wait(timeout=20)
    events = run.events()

    assert run.events(after=events[4].position) == events[5:]


def test_a_handler_knows_the_attempt_it_is_and_its_key_is_the_same_for_all(running: Stage) -> None:
    run = running.submit(flows.flaky, {"failures": 1}).wait(timeout=20)

    assert run.result == {"afterwards": f"{run.id}:afterwards"}
