"""The state machines: every pair of state and trigger, and walks that never leave the table."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_engine import IllegalTransition
from workflow_engine.model.run import FINAL_RUN_STATES, RUN_TRANSITIONS, RunState, RunTrigger, next_run_state
from workflow_engine.model.step import FINAL_STEP_STATES, STEP_TRANSITIONS, StepState, StepTrigger, next_step_state


@pytest.mark.parametrize(("state", "trigger"), list(itertools.product(RunState, RunTrigger)))
def test_a_run_moves_as_the_table_says_or_not_at_all(state: RunState, trigger: RunTrigger) -> None:
    if (state, trigger) in RUN_TRANSITIONS:
        assert next_run_state(state, trigger) is RUN_TRANSITIONS[state, trigger]
    else:
        with pytest.raises(IllegalTransition, match=f"from '{state}' by '{trigger}'"):
            next_run_state(state, trigger)


@pytest.mark.parametrize(("state", "trigger"), list(itertools.product(StepState, StepTrigger)))
def test_a_step_moves_as_the_table_says_or_not_at_all(state: StepState, trigger: StepTrigger) -> None:
    if (state, trigger) in STEP_TRANSITIONS:
        assert next_step_state(state, trigger) is STEP_TRANSITIONS[state, trigger]
    else:
        with pytest.raises(IllegalTransition):
            next_step_state(state, trigger)


BACK = {StepTrigger.REQUEUE, StepTrigger.RESTORE}
"""What only a person can ask for, of steps; of runs it is RETRY."""


def test_nothing_but_a_person_leads_out_of_a_final_state() -> None:
    assert {by for state, by in RUN_TRANSITIONS if state in FINAL_RUN_STATES} == {RunTrigger.RETRY}
    assert {by for state, by in STEP_TRANSITIONS if state in FINAL_STEP_STATES} == BACK


def test_a_person_leads_out_of_no_other_state_and_never_out_of_success() -> None:
    assert {state for state, by in RUN_TRANSITIONS if by is RunTrigger.RETRY} == {RunState.FAILED}
    assert {state for state, by in STEP_TRANSITIONS if by in BACK} == FINAL_STEP_STATES - {StepState.SUCCEEDED}


def test_a_trigger_leads_a_run_to_one_state_only() -> None:
    for trigger in RunTrigger:
        assert len({target for (_, by), target in RUN_TRANSITIONS.items() if by is trigger}) == 1


@given(st.lists(st.sampled_from(list(StepTrigger)), max_size=40))
def test_a_random_walk_stays_inside_the_states_and_without_a_person_stops_at_a_final_one(
    walk: list[StepTrigger],
) -> None:
    state = StepState.WAITING
    for trigger in walk:
        try:
            state = next_step_state(state, trigger)
        except IllegalTransition:
            assert (state, trigger) not in STEP_TRANSITIONS
        assert state in StepState
    assert state not in FINAL_STEP_STATES or not any(
        source is state for source, by in STEP_TRANSITIONS if by not in BACK
    )
