"""What the audit subscriber wants, and whom it takes for the one who did it."""

from typing import Any

import pytest

from tests.support.audits import an_event
from workflow_engine.model.event_schemas import example_event
from workflow_engine.model.events import CATALOGUE
from workflow_engine.subscribers.audit import AuditSubscriber, entry_of


def test_it_wants_every_event_of_the_catalogue_in_batches() -> None:
    assert set(AuditSubscriber.routes) == set(CATALOGUE)
    assert AuditSubscriber.takes_batches.fget(AuditSubscriber.__new__(AuditSubscriber))  # type: ignore[attr-defined]
    assert (AuditSubscriber.delivery, AuditSubscriber.start) == ("durable", "beginning")


@pytest.mark.parametrize(
    ("data", "actor"),
    [
        ({"actor": "ada@host-1"}, "ada@host-1"),
        ({"initiator": "ada"}, "ada"),
        ({"actor": "ada", "initiator": "bob"}, "ada"),
        ({"actor": None, "initiator": None}, "engine"),
        ({"actor": ""}, "engine"),
        ({}, "engine"),
    ],
)
def test_who_did_it_is_the_actor_the_initiator_or_else_the_engine(data: dict[str, Any], actor: str) -> None:
    assert entry_of(an_event(data=data)).actor == actor


@pytest.mark.parametrize("name", CATALOGUE)
def test_an_entry_says_what_its_event_says(name: str) -> None:
    event = example_event(name)
    entry = entry_of(event)

    assert (entry.event, entry.event_id, entry.occurred_at, entry.data) == (
        name,
        event.id,
        event.occurred_at,
        event.data,
    )
    assert (entry.namespace, entry.run_id, entry.workflow, entry.step, entry.attempt, entry.correlation_id) == (
        event.namespace,
        event.run_id,
        event.workflow,
        event.step,
        event.attempt,
        event.correlation_id,
    )
