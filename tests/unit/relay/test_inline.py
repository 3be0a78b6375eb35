"""Inline delivery calls every subscriber, whatever another one does, and never fails itself."""

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from workflow_engine import EventRecord, Subscriber
from workflow_engine.relay.inline import InlineDelivery
from workflow_engine.relay.registry import Subscription
from workflow_engine.testing import an_event

FAILED = an_event("run.failed")
STARTED = an_event("step.started")


class Keeps(Subscriber):
    """Keeps what happens to it."""

    name = "keeps"
    subscribe_to = ("*",)
    delivery = "inline"

    def __init__(self, *, raises: Sequence[str] = ()) -> None:
        self.calls: list[str] = []
        self.raises = raises

    def opened(self) -> None:
        self._do("opened")

    def closed(self) -> None:
        self._do("closed")

    def on_event(self, event: EventRecord) -> None:
        self._do(event.name)

    def _do(self, what: str) -> None:
        self.calls.append(what)
        if what in self.raises:
            raise ValueError(f"no {what}")


class KeepsSome(Keeps):
    """One more."""

    name = "keeps_some"


class KeepsBatches(Keeps):
    """Takes whole batches."""

    name = "keeps_batches"

    def on_batch(self, events: Sequence[EventRecord]) -> None:
        self._do(" ".join(event.name for event in events))


def subscription(subscriber: Subscriber, **narrowed: Any) -> Subscription:
    return Subscription(subscriber=subscriber, **{"names": frozenset(subscriber.routes), **narrowed})


def test_each_subscriber_gets_the_events_it_wants_in_their_order() -> None:
    all_of_them, some, batches = Keeps(), KeepsSome(), KeepsBatches()
    delivery = InlineDelivery(
        [subscription(all_of_them), subscription(some, names=frozenset({"run.failed"})), subscription(batches)]
    )

    delivery([STARTED, FAILED])

    assert all_of_them.calls == ["opened", "step.started", "run.failed"]
    assert some.calls == ["opened", "run.failed"]
    assert batches.calls == ["opened", "step.started run.failed"]


def test_one_that_raises_stops_neither_the_publisher_nor_the_others(caplog: pytest.LogCaptureFixture) -> None:
    bad, good = Keeps(raises=["step.started"]), KeepsBatches()
    delivery = InlineDelivery([subscription(bad), subscription(good)])

    with caplog.at_level(logging.ERROR):
        delivery([STARTED, FAILED])

    assert bad.calls == ["opened", "step.started", "run.failed"]
    assert good.calls == ["opened", "step.started run.failed"]
    assert delivery.failures == 1
    (record,) = caplog.records
    assert record.getMessage() == f"inline subscriber keeps failed: step.started of run {STARTED.run_id}"
    assert record.exc_info is not None
    assert "no step.started" in str(record.exc_info[1])


def test_a_batch_that_fails_is_counted_once(caplog: pytest.LogCaptureFixture) -> None:
    delivery = InlineDelivery([subscription(KeepsBatches(raises=["step.started run.failed"]))])

    delivery([STARTED, FAILED])

    assert delivery.failures == 1
    assert "keeps_batches failed: step.started, run.failed" in caplog.text


def test_one_that_cannot_be_opened_gets_no_event_and_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    keeps = Keeps(raises=["opened"])
    delivery = InlineDelivery([subscription(keeps)])

    delivery([FAILED])
    keeps.raises = ()
    delivery([STARTED])

    assert keeps.calls == ["opened", "opened", "step.started"]
    assert "keeps failed: opening it" in caplog.text


def test_one_that_was_opened_is_closed_once_and_another_never() -> None:
    used, unused = Keeps(), KeepsBatches()
    delivery = InlineDelivery([subscription(used), subscription(unused, names=frozenset())])
    delivery([FAILED])

    delivery.close()
    delivery.close()

    assert used.calls == ["opened", "run.failed", "closed"]
    assert unused.calls == []


def test_one_that_cannot_be_closed_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    delivery = InlineDelivery([subscription(Keeps(raises=["closed"]))])
    delivery([FAILED])

    delivery.close()

    assert delivery.failures == 1
    assert "keeps failed: closing it" in caplog.text


def test_threads_that_publish_at_once_open_a_subscriber_once() -> None:
    keeps, together = Keeps(), Barrier(8)
    delivery = InlineDelivery([subscription(keeps)])

    def publish(_: int) -> None:
        together.wait()
        delivery([FAILED])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(publish, range(8)))

    assert sorted(keeps.calls) == ["opened", *["run.failed"] * 8]


def test_a_forked_process_opens_subscribers_of_its_own_and_leaves_its_parents_alone() -> None:
    keeps = Keeps()
    delivery = InlineDelivery([subscription(keeps)])
    delivery([FAILED])
    ours, its = os.pipe()

    child = os.fork()
    if child == 0:
        try:
            delivery.close()
            delivery([STARTED])
            delivery.close()
            os.write(its, " ".join(keeps.calls).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)

    assert os.read(ours, 1_000).decode().split() == ["opened", "run.failed", "opened", "step.started", "closed"]
    os.close(ours)
    os.close(its)


def test_without_subscribers_it_is_false_and_wants_nothing() -> None:
    nobody = InlineDelivery([])

    nobody([FAILED])

    assert not nobody
    assert nobody.names == frozenset()
    assert InlineDelivery([subscription(Keeps())])
