"""A webhook: what it sends, how it is signed, what counts as not received, and what is refused in its settings."""

import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.http_server import Answer, HttpServer, http_server
from workflow_engine import ConfigurationError, Engine, Settings
from workflow_engine.model.codec import event_from_json
from workflow_engine.subscribers.guarded_http import AddressRefused, NoAnswer
from workflow_engine.subscribers.webhook import EndpointGone, NotAccepted, WebhookSubscriber, webhooks_of
from workflow_engine.testing import an_event

SECRET = "of-both-sides-and-of-nobody-else"


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """What both sides know."""
    monkeypatch.setenv("PARTNER_SECRET", SECRET)


@pytest.fixture
def receiver() -> Iterator[HttpServer]:
    """Takes whatever comes."""
    with http_server() as made:
        made.answers = [Answer(status=204, body=b"")]
        yield made


def endpoint(url: str, **options: Any) -> dict[str, Any]:
    return {"url": url, "secret_from": "PARTNER_SECRET", **options}


def made(url: str, **options: Any) -> WebhookSubscriber:
    given = {"allow_http": True, "allow_networks": ["127.0.0.0/8"], **options}
    (webhook,) = webhooks_of(Settings(webhooks={"partner": endpoint(url, **given)}))
    webhook.opened()
    return webhook


def signed(secret: bytes, asked: Any) -> str:
    text = f"{asked.headers['webhook-id']}.{asked.headers['webhook-timestamp']}.".encode() + asked.body
    return "v1," + b64encode(hmac.new(secret, text, "sha256").digest()).decode()


def test_an_event_is_posted_as_the_log_has_it_with_its_id(receiver: HttpServer) -> None:
    event = an_event("run.failed", workflow="orders", step="pay", position=17)
    webhook = made(f"{receiver.url}/hook?room=7", headers={"X-Team": "shop"})

    webhook.handle(event)

    (asked,) = receiver.asked
    assert (asked.method, asked.path, asked.headers["x-team"]) == ("POST", "/hook?room=7", "shop")
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers["webhook-id"] == event.id
    assert event_from_json(asked.body) == event


def test_the_signature_is_of_the_id_the_time_of_sending_and_the_body(receiver: HttpServer) -> None:
    before = int(datetime.now(UTC).timestamp())

    made(receiver.url).handle(an_event("run.succeeded"))

    (asked,) = receiver.asked
    assert asked.headers["webhook-signature"] == signed(SECRET.encode(), asked)
    assert int(asked.headers["webhook-timestamp"]) >= before


def test_while_secrets_are_exchanged_there_is_a_signature_of_each(
    receiver: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARTNER_SECRET", f"whsec_{b64encode(b'k' * 24).decode()}  {SECRET}")

    made(receiver.url).handle(an_event("run.succeeded"))

    (asked,) = receiver.asked
    expected = [signed(b"k" * 24, asked), signed(SECRET.encode(), asked)]
    assert asked.headers["webhook-signature"].split(" ") == expected
    assert len(b64decode(expected[0].removeprefix("v1,"))) == 32


@pytest.mark.parametrize(("status", "hint"), [(302, ", and redirects are not followed"), (404, ""), (500, "")])
def test_any_answer_but_2xx_is_a_failure_that_does_not_tell_the_address(
    receiver: HttpServer, status: int, hint: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    receiver.answers = [Answer(status=status, headers={"Location": "/elsewhere"})]

    with pytest.raises(NotAccepted, match=f"^the receiver answered {status}{hint}$"):
        made(f"{receiver.url}/?token=known-to-few").handle(an_event("run.failed"))

    assert len(receiver.asked) == 1
    assert "known-to-few" not in caplog.text


def test_410_is_final(receiver: HttpServer) -> None:
    receiver.answers = [Answer(status=410)]

    with pytest.raises(EndpointGone):
        made(receiver.url).handle(an_event("run.failed"))


def test_no_answer_is_a_failure(receiver: HttpServer) -> None:
    receiver.answers = [Answer(hang_up=True)]

    with pytest.raises(NoAnswer):
        made(receiver.url).handle(an_event("run.failed"))


def test_this_machine_is_not_asked_unless_it_is_allowed(receiver: HttpServer) -> None:
    with pytest.raises(AddressRefused, match=r"127\.0\.0\.1, which is not public"):
        made(receiver.url, allow_networks=[]).handle(an_event("run.failed"))

    assert receiver.asked == []


def test_each_endpoint_is_a_subscriber_of_its_own() -> None:
    found = webhooks_of(
        Settings(
            webhooks={
                "one": endpoint("https://one.example", namespace="shop", tries=3, timeout_seconds=7),
                "two": endpoint("https://two.example", events=["step.failed", "run.*"]),
            }
        )
    )

    assert [each.name for each in found] == ["webhook_one", "webhook_two"]
    assert (found[0].namespaces, found[0].tries, found[0].timeout) == ({"shop"}, 3, 12.0)
    assert "step.failed" in found[1].routes
    assert "step.failed" not in found[0].routes


@pytest.mark.parametrize(
    ("name", "options", "place"),
    [
        ("partner", {"url": "ftp://partner.example"}, "WFE_WEBHOOKS__PARTNER__URL"),
        ("partner", {"url": "https://"}, "WFE_WEBHOOKS__PARTNER__URL"),
        ("partner", {"url": "https://user@partner.example"}, "WFE_WEBHOOKS__PARTNER__URL"),
        ("partner", {"url": "https://partner.example\\@10.0.0.1"}, "WFE_WEBHOOKS__PARTNER__URL"),
        ("partner", {"url": "https://2130706433"}, "WFE_WEBHOOKS__PARTNER__URL"),
        ("partner", {"url": "https://0x7f.0.0.1"}, "WFE_WEBHOOKS__PARTNER__URL"),
        ("partner", {"url": "https://0177.0.0.1"}, "WFE_WEBHOOKS__PARTNER__URL"),
        ("partner", {"url": "https://partner.example:99999"}, "WFE_WEBHOOKS__PARTNER__URL"),
        ("partner", {"url": "http://partner.example"}, "WFE_WEBHOOKS__PARTNER"),
        ("partner", {"secret_from": "not a name"}, "WFE_WEBHOOKS__PARTNER__SECRET_FROM"),
        ("partner", {"events": ["run.fialed"]}, "WFE_WEBHOOKS__PARTNER__EVENTS"),
        ("partner", {"events": []}, "WFE_WEBHOOKS__PARTNER__EVENTS"),
        ("partner", {"headers": {"webhook-id": "mine"}}, "WFE_WEBHOOKS__PARTNER__HEADERS"),
        ("partner", {"headers": {"X-A": "a\r\nB: c"}}, "WFE_WEBHOOKS__PARTNER__HEADERS"),
        ("partner", {"allow_networks": ["10.0.0.0/99"]}, "WFE_WEBHOOKS__PARTNER__ALLOW_NETWORKS"),
        ("partner", {"tries": 0}, "WFE_WEBHOOKS__PARTNER__TRIES"),
        ("partner", {"colour": "red"}, "WFE_WEBHOOKS__PARTNER__COLOUR"),
        ("Partner One", {}, "WFE_WEBHOOKS__PARTNER ONE"),
    ],
)
def test_what_cannot_work_is_refused_by_the_name_of_the_setting(name: str, options: dict[str, Any], place: str) -> None:
    given = {**endpoint("https://partner.example"), **options}

    with pytest.raises(ConfigurationError, match=f"^{place}"):
        webhooks_of(Settings(webhooks={name: given}))


@pytest.mark.parametrize("text", ["", "short", "whsec_not base64!", "whsec_?"])
def test_a_secret_that_cannot_be_used_is_refused_and_not_shown(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTNER_SECRET", text)
    (webhook,) = webhooks_of(Settings(webhooks={"partner": endpoint("https://partner.example")}))

    with pytest.raises(ConfigurationError, match=r"^WFE_WEBHOOKS__PARTNER__SECRET_FROM: PARTNER_SECRET ") as caught:
        webhook.opened()

    assert not text or text not in str(caught.value)


def test_a_relay_does_not_start_without_a_secret_to_sign_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PARTNER_SECRET")
    settings = Settings(
        database_url="postgresql://nobody@127.0.0.1:1/none",
        broker_url="redis://127.0.0.1:1/0",
        webhooks={"partner": endpoint("https://partner.example")},
    )

    with pytest.raises(ConfigurationError, match="PARTNER_SECRET is not in the environment"):
        _ = Engine(settings).relay_service


def test_a_test_event_says_what_it_is(receiver: HttpServer) -> None:
    assert made(receiver.url).test() == 204

    (asked,) = receiver.asked
    assert json.loads(asked.body)["name"] == "webhook.test"
    assert asked.headers["webhook-signature"] == signed(SECRET.encode(), asked)
