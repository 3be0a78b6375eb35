"""What waits behind a long step is sent, once; and the watch goes on whatever becomes of it."""

import logging
from itertools import count
from threading import Event

import pytest

from workflow_engine.celery_app import long_steps
from workflow_engine.celery_app.long_steps import LongSteps

PATIENCE = 10.0


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> LongSteps:
    """A watch to which every step is long."""
    monkeypatch.setattr(long_steps, "HELD_UP", 0.0)
    return LongSteps()


def test_a_watch_that_cannot_send_says_so_and_goes_on(watch: LongSteps, caplog: pytest.LogCaptureFixture) -> None:
    tried, sent = Event(), Event()

    def fail() -> None:
        tried.set()
        raise OSError("no way to the broker")

    with caplog.at_level(logging.ERROR):
        watch.begin(1, fail)
        assert tried.wait(PATIENCE)
        watch.begin(2, sent.set)
        assert sent.wait(PATIENCE)
        watch.end(1)

    assert "no way to the broker" in caplog.text


def test_what_could_not_be_sent_is_tried_again_and_then_sent_once(watch: LongSteps) -> None:
    tries, sent = count(), Event()

    def fail_twice() -> None:
        if next(tries) < 2:
            raise OSError("no way to the broker")
        sent.set()

    watch.begin(1, fail_twice)
    assert sent.wait(PATIENCE)

    again = Event()
    watch.begin(2, again.set)  # by then whatever was left of the first would have been tried once more
    assert again.wait(PATIENCE)
    assert next(tries) == 3


def test_what_has_ended_in_time_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_steps, "HELD_UP", 3_600.0)
    watch, ended, sent = LongSteps(), Event(), Event()

    watch.begin(1, ended.set)
    watch.end(1)
    monkeypatch.setattr(long_steps, "HELD_UP", 0.0)
    watch.begin(2, sent.set)

    assert sent.wait(PATIENCE)
    assert not ended.is_set()
