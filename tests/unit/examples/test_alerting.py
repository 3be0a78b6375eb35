"""Alerting: how many failures it takes, within how long, and when there is another alert."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from examples.subscribers.alerting import Alerting
from examples.subscribers.posting import NotAccepted
from tests.support.http_server import Answer, HttpServer, http_server
from workflow_engine.model.records import EventRecord
from workflow_engine.testing import an_event

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def alerting() -> Alerting:
    """Alerts at three failures within a minute, once in ten."""
    return Alerting(threshold=3, window_seconds=60, cooldown_seconds=600)


def failed(second: float, workflow: str = "orders") -> EventRecord:
    return an_event("run.failed", workflow=workflow, occurred_at=NOON + timedelta(seconds=second))


def alerts(caplog: pytest.LogCaptureFixture) -> int:
    return sum(record.levelname == "ERROR" for record in caplog.records)


def handle(alerting: Alerting, *events: EventRecord) -> None:
    for event in events:
        alerting.handle(event)


def test_the_failure_that_reaches_the_threshold_gives_one_alert(
    alerting: Alerting, caplog: pytest.LogCaptureFixture
) -> None:
    handle(alerting, failed(0), failed(10))
    assert alerts(caplog) == 0

    handle(alerting, failed(20))
    assert caplog.messages == [
        "ALERT run.failed of orders: 3 or more within 60 s; the last is CardDeclined in "
        f"run {failed(20).run_id}, step charge"
    ]


def test_an_event_that_comes_again_is_the_same_failure(alerting: Alerting, caplog: pytest.LogCaptureFixture) -> None:
    handle(alerting, failed(0), failed(10), failed(10), failed(0), failed(10))

    assert alerts(caplog) == 0


def test_failures_too_far_apart_give_none(alerting: Alerting, caplog: pytest.LogCaptureFixture) -> None:
    handle(alerting, failed(0), failed(40), failed(61), failed(101))

    assert alerts(caplog) == 0


def test_there_is_no_other_alert_during_the_cooldown_and_one_after_it(
    alerting: Alerting, caplog: pytest.LogCaptureFixture
) -> None:
    handle(alerting, *(failed(second) for second in range(0, 600, 10)))
    assert alerts(caplog) == 1

    handle(alerting, *(failed(second) for second in range(600, 640, 10)))
    assert alerts(caplog) == 2

    handle(alerting, *(failed(second) for second in range(0, 640, 10)))
    assert alerts(caplog) == 2, "all of it came again"


def test_an_event_that_comes_late_counts_when_it_happened(alerting: Alerting, caplog: pytest.LogCaptureFixture) -> None:
    handle(alerting, failed(0), failed(300), failed(310), failed(5))

    assert alerts(caplog) == 0


def test_each_workflow_is_counted_by_itself_and_by_its_own_options(
    alerting: Alerting, caplog: pytest.LogCaptureFixture
) -> None:
    alerting.configure({}, {"payments": {"threshold": 1}})

    handle(alerting, failed(0), failed(1), failed(2, "books"))
    assert alerts(caplog) == 0

    handle(alerting, failed(3, "payments"))
    assert "ALERT run.failed of payments: 1 or more" in caplog.text


@pytest.mark.parametrize("wrong", [{"threshold": 0}, {"window_seconds": "soon"}, {"cooldown_seconds": -1}])
def test_options_that_cannot_be_are_refused_before_any_event(alerting: Alerting, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        alerting.configure({}, {"payments": wrong})


def test_dead_letters_are_counted_by_subscriber(alerting: Alerting, caplog: pytest.LogCaptureFixture) -> None:
    letters = [
        an_event("subscriber.dead_lettered", subscriber=name, occurred_at=NOON + timedelta(seconds=second))
        for second, name in enumerate(["mail", "slack", "mail", "slack", "mail"])
    ]

    handle(alerting, *letters)

    assert caplog.messages == [
        "ALERT subscriber.dead_lettered of mail: 3 or more within 60 s; the last is ConnectTimeout in run.failed"
    ]


def test_steps_are_told_by_name(caplog: pytest.LogCaptureFixture) -> None:
    event = an_event("step.failed", step="pay")

    Alerting().handle(event)

    assert f"CardDeclined in run {event.run_id}, step pay" in caplog.text
    assert "insufficient funds" not in caplog.text, "which may be about a person"


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpServer]:
    """Where alerts are posted."""
    with http_server() as made:
        monkeypatch.setenv("ALERT_URL", made.url)
        yield made


def test_an_alert_is_posted_where_there_is_a_url(chat: HttpServer) -> None:
    alerting = Alerting()

    handle(alerting, failed(0), failed(0))

    assert len(chat.asked) == 1
    assert json.loads(chat.asked[0].body)["text"].startswith("run.failed of orders: 1 or more within 300 s")


def test_an_alert_that_was_not_taken_is_given_again_when_its_event_comes_again(chat: HttpServer) -> None:
    alerting = Alerting()
    chat.answers = [Answer(status=503), Answer()]

    with pytest.raises(NotAccepted):
        alerting.handle(failed(0))
    handle(alerting, failed(0), failed(0))

    assert len(chat.asked) == 2
