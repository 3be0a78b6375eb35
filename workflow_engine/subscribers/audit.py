"""AuditSubscriber: every event as a row of the audit log."""

from collections.abc import Sequence
from typing import ClassVar, Final

from workflow_engine.model.audit_chain import AuditEntry
from workflow_engine.model.records import EventRecord
from workflow_engine.relay.subscriber import Delivery, Start, Subscriber
from workflow_engine.store.transaction import Store

ENGINE: Final = "engine"
"""The actor of what no person asked for."""


class AuditSubscriber(Subscriber):
    """Adds every event to the audit log, once, however often it is delivered."""

    name = "audit"
    subscribe_to = ("*", "subscriber.*")
    delivery: ClassVar[Delivery] = "durable"
    batch_size = 100
    max_wait = 1.0
    start: ClassVar[Start] = "beginning"

    def __init__(self, store: Store) -> None:
        """Write to the audit log of this store."""
        super().__init__()
        self._store = store

    def on_batch(self, events: Sequence[EventRecord]) -> None:
        """Add events in one transaction."""
        entries = [entry_of(event) for event in events]
        self._store.transact(lambda tx: tx.audit.append(entries))


def entry_of(event: EventRecord) -> AuditEntry:
    """Return an event as the audit log keeps it."""
    return AuditEntry(
        event_id=event.event_id,
        event=event.name,
        namespace=event.namespace,
        run_id=event.run_id,
        workflow=event.workflow,
        step=event.step,
        attempt=event.attempt,
        actor=event.data.get("actor") or event.data.get("initiator") or ENGINE,
        correlation_id=event.correlation_id,
        occurred_at=event.occurred_at,
        data=event.data,
    )
