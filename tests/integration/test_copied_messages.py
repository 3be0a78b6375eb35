"""Messages that are copied from one that Celery made are, but for their own ids, what Celery sends: to the byte."""

import json
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, signals
from redis import Redis

from workflow_engine.celery_app import copies
from workflow_engine.celery_app.app import create_app
from workflow_engine.celery_app.dispatcher import CeleryDispatcher
from workflow_engine.embedded.broker import EmbeddedBroker
from workflow_engine.engine.dispatcher import Dispatch, NotDispatched
from workflow_engine.ids import RunId, new_run_id

pytestmark = pytest.mark.redis

SUBMITTER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="session")
def whole_broker_url(server_folder: Path) -> Iterator[str]:
    """A broker of which everything is ours."""
    with EmbeddedBroker(server_folder / "copied", persistent=False) as server:
        yield server.url


@pytest.fixture
def broker(whole_broker_url: str) -> Iterator[Redis]:
    """The broker itself, empty."""
    with Redis.from_url(whole_broker_url, decode_responses=True) as client:
        client.flushdb()
        yield client
        client.flushdb()


@pytest.fixture
def app(whole_broker_url: str, broker: Redis) -> Celery:
    return create_app(whole_broker_url, "postgresql://nobody@127.0.0.1:1/none", "main")


@pytest.fixture
def dispatcher(app: Celery) -> CeleryDispatcher:
    return CeleryDispatcher(app)


def steps_of(
    runs: int, position: int = 0, step: str = 'kassieren "ü"', traceparent: str | None = None, **about: Any
) -> list[Dispatch]:
    """One step of each of so many runs."""
    values: dict[str, Any] = {"queue": None, "priority": 1, "timeout": None, "join": None, "join_position": None}
    return [
        Dispatch(
            plan_id=12,
            run_id=new_run_id(),
            position=position,
            attempt=1,
            workflow="orders",
            step=step,
            traceparent=traceparent,
            **{**values, **about},
        )
        for _ in range(runs)
    ]


def sent(broker: Redis) -> dict[str, list[str]]:
    """Return the broker's lists as they are, the first message first, without what is chance; and empty it."""
    found = {key: list(reversed(broker.lrange(key, 0, -1))) for key in broker.scan_iter() if broker.type(key) == "list"}
    for texts in found.values():
        for number, text in enumerate(texts):
            texts[number] = text.replace(json.loads(text)["properties"]["delivery_tag"], "a tag")
    broker.flushdb()
    return found


def sent_alone(dispatcher: CeleryDispatcher, broker: Redis, steps: Sequence[Dispatch]) -> dict[str, list[str]]:
    """Return what is in the broker's lists where Celery makes each message."""
    for step in steps:
        CeleryDispatcher(dispatcher._app).dispatch([step])  # which has sent none before
    return sent(broker)


def tags(broker: Redis, key: str) -> list[str]:
    return [json.loads(text)["properties"]["delivery_tag"] for text in broker.lrange(key, 0, -1)]


def count_makings(dispatcher: CeleryDispatcher, steps: Sequence[Dispatch]) -> int:
    """Dispatch; return how many messages Celery made for it."""
    made = []
    app = dispatcher._app
    build = app.amqp.as_task_v2

    def building(*args: Any, **options: Any) -> Any:
        made.append(args)
        return build(*args, **options)

    app.amqp.as_task_v2 = building
    try:
        dispatcher.dispatch(steps)
    finally:
        app.amqp.as_task_v2 = build
    return len(made)


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"queue": "payments"},
        {"priority": 3},
        {"timeout": 2.5},
        {"join": 'zusammen "ä"', "join_position": 7},
        {"join": "d", "join_position": 7, "queue": "payments", "priority": 0, "timeout": 30.0},
    ],
    ids=str,
)
def test_copies_are_to_the_byte_what_is_sent_one_by_one(
    dispatcher: CeleryDispatcher, broker: Redis, about: dict[str, Any]
) -> None:
    steps = steps_of(5, **about)
    alone = sent_alone(dispatcher, broker, steps)

    made = count_makings(dispatcher, steps)

    assert made == 1
    assert sent(broker) == alone
    assert sum(map(len, alone.values())) == 5


def test_steps_that_are_sent_one_after_the_other_are_copies_once_there_were_some(
    dispatcher: CeleryDispatcher, broker: Redis
) -> None:
    steps = steps_of(12)
    alone = sent_alone(dispatcher, broker, steps)

    made = [count_makings(dispatcher, [step]) for step in steps]

    assert made == [1] * 5 + [0] * 7
    assert sent(broker) == alone


def test_a_forked_process_copies_nothing_that_has_its_parents_name(
    dispatcher: CeleryDispatcher, broker: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in steps_of(6):
        dispatcher.dispatch([step])
    monkeypatch.setattr(copies.os, "getpid", lambda: -1)

    assert count_makings(dispatcher, steps_of(1)) == 1


def test_of_very_many_kinds_no_more_is_remembered_than_is_bounded(
    dispatcher: CeleryDispatcher, broker: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "_MOST_KINDS", 10)

    for timeout in range(1, 50):
        dispatcher.dispatch(steps_of(1, timeout=float(timeout)))

    assert len(dispatcher._patterns._sent) <= 11


def test_the_parts_of_a_wide_join_are_copies_of_one(dispatcher: CeleryDispatcher, broker: Redis) -> None:
    (part,) = steps_of(1, join="d", join_position=300)
    parts = [replace(part, step=f"part {number}", position=number) for number in range(60)]
    alone = sent_alone(dispatcher, broker, parts)

    made = count_makings(dispatcher, parts)

    assert made == 1
    assert sent(broker) == alone


def test_steps_of_several_kinds_keep_their_order(dispatcher: CeleryDispatcher, broker: Redis) -> None:
    kinds = [steps_of(8), steps_of(8, 1, "refund"), steps_of(8, priority=3), steps_of(8, timeout=1.0)]
    steps = [step for mixed in zip(*kinds, strict=True) for step in mixed]
    alone = sent_alone(dispatcher, broker, steps)

    dispatcher.dispatch(steps)

    assert sent(broker) == alone


def test_each_copy_has_a_tag_of_its_own(dispatcher: CeleryDispatcher, broker: Redis) -> None:
    dispatcher.dispatch(steps_of(150))

    assert len(set(tags(broker, "main\x06\x166"))) == 150


def test_what_is_copied_names_no_other_run(dispatcher: CeleryDispatcher, broker: Redis) -> None:
    steps = steps_of(4, join="d", join_position=7)
    dispatcher.dispatch(steps)

    ((_, texts),) = sent(broker).items()
    for step, text in zip(steps, texts, strict=True):
        body = b64decode(json.loads(text)["body"]).decode()
        assert body.count(step.run_id) == 2
        assert not any(other.run_id in text + body for other in steps if other is not step)


def test_who_listens_to_what_is_published_hears_of_every_message_and_may_change_it(
    dispatcher: CeleryDispatcher, broker: Redis
) -> None:
    after: list[str] = []

    def changes(headers: dict[str, Any], **_: Any) -> None:
        headers["seen"] = headers["id"]

    def hears(headers: dict[str, Any], **_: Any) -> None:
        after.append(headers["id"])

    signals.before_task_publish.connect(changes)
    signals.after_task_publish.connect(hears)
    steps = steps_of(6)
    try:
        dispatcher.dispatch(steps)
    finally:
        signals.before_task_publish.disconnect(changes)
        signals.after_task_publish.disconnect(hears)

    ids = [f"{step.run_id}.{step.step}.1" for step in steps]
    ((_, texts),) = sent(broker).items()
    assert after == ids
    assert [json.loads(text)["headers"]["seen"] for text in texts] == ids


def test_what_differs_by_more_than_ids_is_made_by_celery(dispatcher: CeleryDispatcher, app: Celery) -> None:
    assert count_makings(dispatcher, steps_of(8, traceparent=SUBMITTER)) == 8
    assert count_makings(dispatcher, steps_of(3)) == 3
    app.conf.task_send_sent_event = True
    assert count_makings(dispatcher, steps_of(8)) == 8
    app.conf.task_send_sent_event = False
    app.conf.task_compression = "gzip"
    assert count_makings(dispatcher, steps_of(8)) == 8


def test_a_broker_that_refuses_copies_has_not_taken_them(dispatcher: CeleryDispatcher, broker: Redis) -> None:
    broker.set("main\x06\x166", "no list")
    steps = steps_of(8)

    with pytest.raises(NotDispatched) as raised:
        dispatcher.dispatch(steps)

    assert list(raised.value.undelivered) == steps


def test_copies_are_sent_again_where_the_connection_was_lost(dispatcher: CeleryDispatcher, broker: Redis) -> None:
    dispatcher.dispatch(steps_of(8))
    sent(broker)
    for client in broker.client_list():
        if int(client["id"]) != broker.client_id():
            broker.client_kill_filter(_id=client["id"])

    dispatcher.dispatch(steps_of(8))

    assert sum(map(len, sent(broker).values())) == 8


def test_no_sample_reaches_the_broker(dispatcher: CeleryDispatcher, broker: Redis) -> None:
    steps = steps_of(8, queue="payments")
    dispatcher.dispatch(steps)

    roots = [json.loads(text)["headers"]["root_id"] for texts in sent(broker).values() for text in texts]
    assert [RunId(root) for root in roots] == [step.run_id for step in steps]
