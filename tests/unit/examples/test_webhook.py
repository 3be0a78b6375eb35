"""The webhook: what it sends, how it is signed, and what counts as not received."""

import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256

import httpx
import pytest

from examples.subscribers.posting import NotAccepted
from examples.subscribers.webhook import Webhook
from tests.support.http_server import Answer, HttpServer, http_server
from workflow_engine.testing import an_event

SECRET = "of both sides"


@pytest.fixture
def receiver() -> Iterator[HttpServer]:
    """Takes whatever comes."""
    with http_server() as made:
        made.answers = [Answer(status=204, body=b"")]
        yield made


@pytest.fixture
def webhook(receiver: HttpServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    """Posts to the receiver."""
    monkeypatch.setenv("WEBHOOK_URL", f"{receiver.url}/hook?token=known-to-few")
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    made = Webhook()
    made.opened()
    yield made
    made.closed()


def test_an_event_is_posted_as_json_with_its_id_as_the_key(webhook: Webhook, receiver: HttpServer) -> None:
    event = an_event("run.failed", workflow="orders", step="pay", position=17)

    webhook.handle(event)

    asked = receiver.asked[0]
    body = json.loads(asked.body)
    assert (asked.method, asked.path) == ("POST", "/hook?token=known-to-few")
    assert asked.headers["idempotency-key"] == body["id"] == event.id
    assert (body["name"], body["workflow"], body["position"]) == ("run.failed", "orders", 17)
    assert body["data"]["step"] == "pay"


def test_the_signature_is_of_the_time_of_sending_and_the_body(webhook: Webhook, receiver: HttpServer) -> None:
    before = int(datetime.now(UTC).timestamp())

    webhook.handle(an_event("run.succeeded"))

    asked = receiver.asked[0]
    signed = asked.headers["x-timestamp"].encode() + b"." + asked.body
    assert asked.headers["x-signature"] == hmac.new(SECRET.encode(), signed, sha256).hexdigest()
    assert int(asked.headers["x-timestamp"]) >= before


@pytest.mark.parametrize("status", [301, 404, 500])
def test_any_answer_but_2xx_is_a_failure_that_does_not_tell_the_address(
    webhook: Webhook, receiver: HttpServer, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "examples")
    receiver.answers = [Answer(status=status)]

    with pytest.raises(NotAccepted, match=f"^the receiver answered {status}$"):
        webhook.handle(an_event("run.failed"))

    assert "known-to-few" not in caplog.text


def test_no_answer_is_a_failure(webhook: Webhook, receiver: HttpServer) -> None:
    receiver.answers = [Answer(hang_up=True)]

    with pytest.raises(httpx.TransportError):
        webhook.handle(an_event("run.failed"))


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

    with pytest.raises(ValueError, match="PARTNER_URL is set, but not WEBHOOK_SECRET"):
        Webhook(url_from="PARTNER_URL")
