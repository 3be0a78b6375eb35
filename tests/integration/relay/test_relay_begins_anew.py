"""What a relay does about errors of its own: it begins anew, and delivers."""

import pytest

from tests.support.processes import wait_until
from tests.support.relays import Recorder, append, running, subscription, wait_for
from workflow_engine.model.records import EventRecord
from workflow_engine.relay.registry import Subscription
from workflow_engine.relay.session import Session
from workflow_engine.store.transaction import Store


def test_a_log_that_could_not_be_read_is_read_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    places, original, failures = append(store, 3), Session.read, []

    def read(self: Session, after: int, limit: int) -> object:
        if not failures:
            failures.append(1)
            raise ValueError("a row that nobody understands")
        return original(self, after, limit)

    monkeypatch.setattr(Session, "read", read)
    subscriber = Recorder()

    with running(store.database.url, subscriber):
        wait_for(subscriber, places)

    assert subscriber.positions == places
    assert "reading the event log failed" in caplog.text


def test_an_error_in_delivering_to_one_is_logged_and_it_is_tried_anew(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Not an error of the subscriber's: those are failed tries."""
    asked: list[int] = []

    class Faulty(Subscription):
        def wants(self, event: EventRecord) -> bool:
            asked.append(1)
            if len(asked) == 1:
                raise ValueError("nobody's fault")
            return True

    subscriber, other = Recorder(), Recorder("other")
    faulty = Faulty(subscriber=subscriber, names=subscription(subscriber).names)
    places = append(store, 3)

    with running(store.database.url, faulty, other):
        wait_for(other, places)
        wait_until(lambda: "delivering to subscriber recorder failed" in caplog.text)
        wait_for(subscriber, places)

    assert subscriber.positions == places
