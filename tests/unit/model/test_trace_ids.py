"""Trace and span ids, which every process derives for itself, and derives alike."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_engine.model.trace_ids import event_traceparent, parse_traceparent, run_context, step_context

SUBMITTER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
RUN_IDS = st.uuids().map(str)
SUBMITTERS = st.sampled_from([None, "", "malformed", SUBMITTER, SUBMITTER[:-2] + "01"])


@given(RUN_IDS, SUBMITTERS, st.text(), st.integers(1, 10**6))
def test_the_event_of_an_attempt_is_in_the_attempts_span(
    run_id: str, submitter: str | None, step: str, attempt: int
) -> None:
    assert event_traceparent(run_id, submitter, step, attempt) == str(step_context(run_id, submitter, step, attempt))


@given(RUN_IDS, SUBMITTERS, st.sampled_from([(None, None), ("charge", None), (None, 1)]))
def test_every_other_event_of_a_run_is_in_the_runs_span(
    run_id: str, submitter: str | None, about: tuple[str | None, int | None]
) -> None:
    assert event_traceparent(run_id, submitter, *about) == str(run_context(run_id, submitter))


@pytest.mark.parametrize("submitter", [None, SUBMITTER])
def test_what_is_written_can_be_read_again(submitter: str | None) -> None:
    context = step_context(str(UUID(int=7)), submitter, "charge", 1)

    assert parse_traceparent(str(context)) == context


def test_a_run_without_a_submitter_has_a_trace_of_its_own_id() -> None:
    assert event_traceparent(str(UUID(int=7)), None, None, None).split("-")[1] == f"{7:032x}"
