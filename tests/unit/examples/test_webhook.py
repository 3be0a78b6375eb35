"""The example's webhook: where it posts to comes from the environment; all else is the library's own."""

import json
from collections.abc import Iterator

import pytest

from examples.subscribers.webhook import Webhook
from tests.support.http_server import Answer, HttpServer, http_server
from workflow_engine import ConfigurationError
from workflow_engine.testing import an_event

SECRET = "of-both-sides-and-of-nobody-else"
HERE = ("127.0.0.0/8",)


@pytest.fixture
def receiver() -> Iterator[HttpServer]:
    """Takes whatever comes."""
    with http_server() as made:
        made.answers = [Answer(status=204, body=b"")]
        yield made


def test_events_go_to_the_address_of_the_environment(receiver: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_URL", f"{receiver.url}/hook?token=known-to-few")
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    webhook, event = Webhook(allow_networks=HERE), an_event("run.failed", workflow="orders")

    webhook.opened()
    webhook.handle(event)
    webhook.closed()

    (asked,) = receiver.asked
    assert (asked.method, asked.path) == ("POST", "/hook?token=known-to-few")
    assert json.loads(asked.body)["event_id"] == asked.headers["webhook-id"] == event.id


def test_without_a_url_it_says_so_and_sends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("WEBHOOK_URL", raising=False)
    webhook = Webhook()

    webhook.opened()
    webhook.handle(an_event("run.failed"))
    webhook.closed()

    assert caplog.messages == ["WEBHOOK_URL is not set: no event is sent"]


def test_without_a_secret_it_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTNER_URL", "https://partner.example/hook")
    monkeypatch.delenv("WEBHOOK_SECRET", raising=False)

    with pytest.raises(ConfigurationError, match=r"PARTNER_URL.*: WEBHOOK_SECRET is not in the environment"):
        Webhook(url_from="PARTNER_URL")


def test_a_receiver_on_this_machine_must_be_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_URL", "http://127.0.0.1:8000/hook")
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)

    with pytest.raises(ValueError, match="must be https"):
        Webhook()
