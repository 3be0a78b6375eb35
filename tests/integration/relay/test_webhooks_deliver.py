"""Webhooks of a real relay, to real receivers: one that is killed and comes back, one that refuses, a slow one."""

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest

from tests.integration.cli.running import Ended, wfe
from tests.support.http_server import Answer, HttpServer, http_server
from tests.support.processes import ROOT, wait_until
from tests.support.relays import QUICK_LEASE, any_run, append
from workflow_engine import Settings
from workflow_engine.embedded.ports import free_port
from workflow_engine.embedded.processes import ChildProcess, Program
from workflow_engine.relay.registry import Subscribers
from workflow_engine.relay.relay import Relay
from workflow_engine.store.database import Database
from workflow_engine.store.transaction import Store
from workflow_engine.subscribers.webhook import webhooks_of

SECRET = "of-both-sides-and-of-nobody-else"
LOCAL: dict[str, Any] = {"allow_http": True, "allow_networks": ["127.0.0.0/8"]}


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


@contextmanager
def relaying(
    store: Store,
    *,
    tries: int = 8,
    allowed: Sequence[str] = LOCAL["allow_networks"],
    namespace: str | None = None,
    **urls: str,
) -> Iterator[Relay]:
    """Run a relay with webhooks by name, once it holds their cursors."""
    options = {**LOCAL, "allow_networks": allowed, "timeout_seconds": 2, "tries": tries, "namespace": namespace}
    given = {name: {"url": url, "secret_from": "PARTNER_SECRET", **options} for name, url in urls.items()}
    database = Database(store.database.url, max_connections=4)
    subscriptions = Subscribers(webhooks_of(Settings(webhooks=given))).durable
    relay = Relay(Store(database), subscriptions, lease=QUICK_LEASE, poll_seconds=0.2)
    relay.start()
    try:
        wait_until(lambda: (held := relay.snapshot()) and all(each.is_held for each in held), why="all are held")
        yield relay
    finally:
        relay.stop()
        database.close()


def positions(receiver: HttpServer) -> list[int]:
    return [json.loads(each.body)["position"] for each in receiver.asked]


def store_parked(store: Store) -> int:
    with store.single() as tx:
        return sum(each.parked for each in tx.cursors.page())


def letters(store: Store, subscriber: str) -> list[tuple[int, str]]:
    with store.single() as tx:
        found = tx.deliveries.page_dead_letters(subscriber=subscriber)
    return [(each.tries, each.error_class) for each in found]


class Receiver:
    """A receiver in a process of its own, which may be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self.start()

    def start(self) -> None:
        """Start it, also again, on the same port."""
        log = self.folder / f"receiver-{uuid4().hex[:8]}.log"
        argv = [sys.executable, "-m", "tests.support.webhook_receiver", str(self.port), str(self.folder / "taken")]
        self.process = ChildProcess(Program(argv=argv, env=dict(os.environ), log=log, cwd=ROOT))
        wait_until(lambda: "listening" in log.read_text(), why="the receiver listens")

    @property
    def taken(self) -> list[int]:
        """The places of the events that it took, as they came."""
        file = self.folder / "taken"
        return [json.loads(line)[1] for line in file.read_text().splitlines()] if file.exists() else []


def test_a_receiver_that_is_killed_gets_everything_when_it_is_back(store: Store, tmp_path: Path) -> None:
    run, partner = any_run(), Receiver(tmp_path)
    with relaying(store, partner=partner.url):
        places = append(store, 3, run_id=run)
        wait_until(lambda: set(places) <= set(partner.taken), why="all came")
        partner.process.sweep()
        places += append(store, 3, run_id=run)
        wait_until(lambda: store_parked(store) >= 3, why="they wait")
        partner.start()
        wait_until(lambda: set(places) <= set(partner.taken), why="the rest came")
    partner.process.sweep()

    assert list(dict.fromkeys(partner.taken)) == places


def test_an_endpoint_that_is_down_and_one_that_never_answers_delay_no_other(store: Store, receiver: HttpServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        urls = {
            "down": f"http://127.0.0.1:{free_port()}/",
            "silent": f"http://127.0.0.1:{silent.getsockname()[1]}/",
            "good": receiver.url,
        }
        with relaying(store, **urls):
            began = monotonic()
            places = append(store, 20)
            wait_until(lambda: len(receiver.asked) >= 20, within=10, why="the good one has got all")

            assert monotonic() - began < 2
    assert positions(receiver) == places


def test_what_is_refused_is_tried_again_and_then_a_dead_letter(store: Store, receiver: HttpServer) -> None:
    receiver.answers = [Answer(status=500), Answer(status=503), Answer(status=204, body=b"")]
    with relaying(store, tries=2, partner=receiver.url):
        append(store, 1)
        wait_until(lambda: letters(store, "webhook_partner"), why="the second refusal was the last")

    assert letters(store, "webhook_partner") == [(2, "NotAccepted")]
    assert len({each.headers["webhook-id"] for each in receiver.asked[:2]}) == 1


@pytest.mark.parametrize(
    ("allowed", "answer", "error"), [(["127.0.0.0/8"], 410, "EndpointGone"), ([], 204, "AddressRefused")]
)
def test_gone_is_a_dead_letter_at_once_and_so_is_in_the_end_what_may_not_be_asked(
    store: Store, receiver: HttpServer, allowed: list[str], answer: int, error: str
) -> None:
    receiver.answers = [Answer(status=answer)]
    with relaying(store, tries=8 if allowed else 1, allowed=allowed, partner=receiver.url):
        append(store, 1)
        wait_until(lambda: letters(store, "webhook_partner"), why="it is dead")

    assert letters(store, "webhook_partner") == [(1, error)]
    assert len(receiver.asked) == len(allowed)


def test_only_events_of_its_namespace_come(store: Store, receiver: HttpServer) -> None:
    with (
        relaying(store, namespace="default", partner=receiver.url),
        relaying(store, namespace="shop", other=receiver.url),
    ):
        (place,) = append(store, 1)
        wait_until(lambda: receiver.asked, why="it came")

    assert positions(receiver) == [place]


@pytest.fixture
def command(store: Store, receiver: HttpServer) -> Callable[..., Ended]:
    """Run a command with one webhook in the settings."""
    webhook = {"url": f"{receiver.url}/?key=hidden", "secret_from": "PARTNER_SECRET", **LOCAL}
    variables = {
        "WFE_DATABASE_URL": store.database.url,
        "WFE_BROKER_URL": "redis://127.0.0.1:1/0",
        "WFE_WEBHOOKS": json.dumps({"partner": webhook}),
    }
    return lambda *arguments: wfe("webhooks", *arguments, **variables)


def test_webhooks_are_listed_without_what_is_in_their_query(command: Callable[..., Ended]) -> None:
    (row,) = command("list", "--json").json

    assert (row["name"], row["subscriber"], row["events"]) == ("partner", "webhook_partner", ["run.*"])
    assert "hidden" not in command("list").out
    assert command("list").code == 0


def test_a_test_event_is_posted_and_the_answer_told(command: Callable[..., Ended], receiver: HttpServer) -> None:
    assert command("test", "partner", "--json").json["code"] == 204
    assert json.loads(receiver.asked[0].body)["name"] == "webhook.test"

    receiver.answers = [Answer(status=404)]
    refused = command("test", "partner")
    assert (refused.code, refused.err.strip()) == (1, "error: partner: the receiver answered 404")
    assert "did you mean 'partner'" in command("test", "partnr").err
