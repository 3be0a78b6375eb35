"""Notices and the rules about them."""

import pytest

from workflow_engine.ids import RunId
from workflow_engine.model.readiness import ReadinessAction, ReadinessNotice, ReadinessRule, classify

IGNORE, PROCESS = ReadinessAction.IGNORE, ReadinessAction.PROCESS_READINESS


def a_notice(**fields: object) -> ReadinessNotice:
    known = {"run_id": RunId("r"), "namespace": "default", "priority": None, "ready_steps": 1}
    return ReadinessNotice(**{**known, "triggered_by": "step_ready", **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "action"),
    [
        ({}, PROCESS),
        ({"triggered_by": "something new"}, PROCESS),
        ({"triggered_by": "run_state", "run_state": "running"}, PROCESS),
        ({"triggered_by": "run_state", "run_state": "paused"}, IGNORE),
        ({"triggered_by": "run_state", "run_state": "failed"}, IGNORE),
    ],
)
def test_without_rules_what_may_be_dispatched_is_looked_at(fields: dict[str, object], action: ReadinessAction) -> None:
    assert classify(a_notice(**fields), []) is action


def test_the_first_rule_that_fits_decides() -> None:
    rules = [
        ReadinessRule(namespace="batch-vip", action=PROCESS),
        ReadinessRule(namespace="batch-*", action=IGNORE),
        ReadinessRule(step_state="retrying", action=IGNORE),
    ]

    assert classify(a_notice(namespace="batch-vip"), rules) is PROCESS
    assert classify(a_notice(namespace="batch-7"), rules) is IGNORE
    assert classify(a_notice(step_state="retrying"), rules) is IGNORE
    assert classify(a_notice(), rules) is PROCESS


def test_a_pattern_does_not_fit_what_is_unknown() -> None:
    assert classify(a_notice(namespace=None), [ReadinessRule(namespace="batch-*", action=IGNORE)]) is PROCESS


def test_fields_of_a_newer_release_are_no_hindrance() -> None:
    assert ReadinessNotice.parse(
        '{"run_id": "r", "namespace": "n", "priority": 1, "ready_steps": 2, "triggered_by": "step_ready", "new": 1}'
    ) == a_notice(namespace="n", priority=1, ready_steps=2)
