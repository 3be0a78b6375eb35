"""How chords are counted: many deliveries, many processes, one body. No worker: bodies are read from the queue."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from celery import chord, group
from celery.app.task import Context
from celery.exceptions import ChordError
from kombu.message import Message

from tests.integration.backend.canvas_app import create_app
from tests.integration.backend.running import Canvas, canvas
from workflow_engine.celery_app.backend import DurableBackend


class Part:
    """A message of a chord's part, as a worker would get it."""

    def __init__(self, message: Message) -> None:
        self.arguments, _, embedded = json.loads(message.body)
        self.request = Context(message.headers, chord=embedded["chord"], chain=embedded["chain"])
        self.request.errbacks = embedded["errbacks"]

    def succeed(self, backend: DurableBackend, value: Any = None) -> None:
        """Do what a worker does when the task returns."""
        result = self.arguments[0] if value is None else value
        backend.mark_as_done(self.request.id, result, request=self.request)

    def fail(self, backend: DurableBackend) -> None:
        """Do what a worker does when the task raises."""
        backend.mark_as_failure(self.request.id, ValueError("as asked"), request=self.request)


class Queue:
    """What was published and no worker has taken."""

    def __init__(self, here: Canvas) -> None:
        self._here = here

    def take(self) -> list[Message]:
        """Return the messages, oldest first, and empty the queue."""
        with self._here.queue() as queue:
            return list(iter(partial(queue.get, no_ack=True), None))

    def parts(self) -> list[Part]:
        return [Part(message) for message in self.take()]

    def bodies(self) -> list[tuple[str, Any]]:
        """Return the ids and first arguments of what was published."""
        return [(message.headers["id"], Part(message).arguments[0]) for message in self.take()]


@pytest.fixture(scope="module")
def here(postgres_url: str, broker_url: str) -> Iterator[Canvas]:
    with canvas(postgres_url, broker_url) as here:
        yield here


@pytest.fixture
def queue(here: Canvas) -> Iterator[Queue]:
    queue = Queue(here)
    queue.take()
    yield queue
    queue.take()


@pytest.fixture
def backend(here: Canvas) -> DurableBackend:
    return here.app.backend


@pytest.fixture(scope="module")
def backends(here: Canvas) -> Iterator[list[DurableBackend]]:
    """Eight workers' backends, each with connections of its own."""
    settings = (here.broker_url, f"wfe+{here.database_url}", here.prefix)
    apps = [create_app(*settings)[0] for _ in range(8)]
    yield [app.backend for app in apps]
    for app in apps:
        app.backend.close()
        app.close()


def start(here: Canvas, size: int) -> str:
    """Publish a chord and return its body's id."""
    return str(chord([here.tasks.same.s(number) for number in range(size)])(here.tasks.same.s()).id)


def test_the_body_is_sent_with_the_last_part_and_gets_the_headers_order(
    here: Canvas, queue: Queue, backend: DurableBackend
) -> None:
    body_id = start(here, 3)
    first, second, third = queue.parts()

    third.succeed(backend)
    first.succeed(backend)
    assert queue.bodies() == []

    second.succeed(backend)
    assert queue.bodies() == [(body_id, [0, 1, 2])]


@pytest.mark.parametrize("repeats", [2, 5])
def test_a_part_counts_once_however_often_it_is_delivered(
    here: Canvas, queue: Queue, backend: DurableBackend, repeats: int
) -> None:
    body_id = start(here, 2)
    first, second = queue.parts()

    for number in range(repeats):
        first.succeed(backend, f"try {number}")
    assert queue.bodies() == []

    second.succeed(backend, "second")
    assert queue.bodies() == [(body_id, ["try 0", "second"])]


def test_a_header_from_a_generator_is_published_as_it_is_made(here: Canvas, queue: Queue) -> None:
    published_before_the_last = []

    def header() -> Iterator[Any]:
        for number in range(5):
            with here.queue() as waiting:
                published_before_the_last.append(waiting.queue_declare().message_count)
            yield here.tasks.same.s(number)

    chord(header())(here.tasks.same.s())

    assert published_before_the_last[-1] >= 1
    assert len(queue.take()) == 5


def test_a_part_that_comes_after_the_end_changes_nothing(here: Canvas, queue: Queue, backend: DurableBackend) -> None:
    start(here, 2)
    first, second = queue.parts()
    first.succeed(backend)
    second.succeed(backend)
    assert len(queue.bodies()) == 1

    first.succeed(backend)
    second.fail(backend)

    assert queue.bodies() == []
    assert backend.get_state(second.request.id) == "SUCCESS"


def test_parts_that_come_before_the_size_is_known_are_counted(
    here: Canvas, queue: Queue, backend: DurableBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_size, arrived = backend.set_chord_size, []

    def arrive_first(group_id: str, size: int) -> None:
        arrived.extend(queue.parts())
        for part in arrived:
            part.succeed(backend)
        set_size(group_id, size)

    monkeypatch.setattr(backend, "set_chord_size", arrive_first)
    body_id = start(here, 3)
    assert len(arrived) == 2

    (last,) = queue.parts()
    last.succeed(backend)
    assert queue.bodies() == [(body_id, [0, 1, 2])]


def test_a_chord_published_twice_by_a_redelivered_task_runs_its_body_once(
    here: Canvas, queue: Queue, backend: DurableBackend
) -> None:
    flow = chord([here.tasks.same.s(0), here.tasks.same.s(1)], here.tasks.same.s())
    flow.freeze()
    flow.apply_async()
    flow.apply_async()
    parts = queue.parts()
    assert len(parts) == 4

    for part in parts:
        part.succeed(backend)

    assert [value for _, value in queue.bodies()] == [[0, 1]]


def test_concurrent_duplicates_from_many_connections_send_one_body(
    here: Canvas, queue: Queue, backends: list[DurableBackend]
) -> None:
    body_ids = [start(here, 10) for _ in range(5)]
    deliveries = [part for part in queue.parts() for _ in backends]
    together = Barrier(len(backends))

    def deliver(number: int) -> None:
        together.wait(timeout=10)
        for part in deliveries[number :: len(backends)]:
            part.succeed(backends[number])

    with ThreadPoolExecutor(len(backends)) as pool:
        list(pool.map(deliver, range(len(backends))))

    assert sorted(queue.bodies()) == sorted((body_id, list(range(10))) for body_id in body_ids)


def test_last_parts_that_finish_at_the_same_moment_send_one_body(
    here: Canvas, queue: Queue, backends: list[DurableBackend]
) -> None:
    for _ in range(20):
        body_id = start(here, len(backends))
        together = Barrier(len(backends))

        def finish(part: Part, backend: DurableBackend, together: Barrier = together) -> None:
            together.wait(timeout=10)
            part.succeed(backend)

        with ThreadPoolExecutor(len(backends)) as pool:
            list(pool.map(finish, queue.parts(), backends))

        assert queue.bodies() == [(body_id, list(range(len(backends))))]


def test_a_late_success_heals_a_failed_part(here: Canvas, queue: Queue, backend: DurableBackend) -> None:
    body_id = start(here, 2)
    first, second = queue.parts()
    first.fail(backend)

    first.succeed(backend)
    second.succeed(backend)

    assert queue.bodies() == [(body_id, [0, 1])]


def test_a_late_failure_does_not_spoil_a_successful_part(here: Canvas, queue: Queue, backend: DurableBackend) -> None:
    body_id = start(here, 2)
    first, second = queue.parts()
    first.succeed(backend)

    first.fail(backend)
    second.succeed(backend)

    assert queue.bodies() == [(body_id, [0, 1])]


def test_a_chord_fails_when_its_last_part_has_come(here: Canvas, queue: Queue, backend: DurableBackend) -> None:
    body_id = start(here, 2)
    first, second = queue.parts()

    first.fail(backend)
    assert backend.get_state(body_id) == "PENDING"

    second.succeed(backend)
    assert backend.get_state(body_id) == "FAILURE"
    assert isinstance(backend.get_result(body_id), ChordError)
    assert queue.bodies() == []


def test_a_revoked_part_fails_the_chord(here: Canvas, queue: Queue, backend: DurableBackend) -> None:
    body_id = start(here, 2)
    first, second = queue.parts()

    backend.mark_as_revoked(first.request.id, "no more", request=first.request)
    second.succeed(backend)

    assert backend.get_state(body_id) == "FAILURE"


def test_a_failure_that_is_not_stored_still_fails_the_chord(
    here: Canvas, queue: Queue, backend: DurableBackend
) -> None:
    body_id = start(here, 1)
    (part,) = queue.parts()

    backend.mark_as_failure(part.request.id, ValueError("why"), request=part.request, store_result=False)

    assert backend.get_state(body_id) == "FAILURE"
    assert backend.get_state(part.request.id) == "PENDING"


def test_a_body_that_was_not_confirmed_is_sent_again_with_the_same_id_by_a_redelivery(
    here: Canvas, queue: Queue, backend: DurableBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    body_id = start(here, 2)
    first, second = queue.parts()
    first.succeed(backend)
    with monkeypatch.context() as crash:
        crash.setattr(backend._joiner, "settle", lambda *_: None)
        second.succeed(backend)
    assert queue.bodies() == []

    second.succeed(backend)
    assert queue.bodies() == [(body_id, [0, 1])]

    second.succeed(backend)
    assert queue.bodies() == []


def test_a_body_that_was_sent_but_not_confirmed_is_sent_again(
    here: Canvas, queue: Queue, backend: DurableBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    body_id = start(here, 1)
    (part,) = queue.parts()
    with monkeypatch.context() as crash:
        crash.setattr("workflow_engine.store.results.ChordClaim.close", lambda _: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            part.succeed(backend)

    part.succeed(backend)

    assert queue.bodies() == [(body_id, [0]), (body_id, [0])]


def test_the_rescuer_sends_a_body_that_no_redelivery_will(
    here: Canvas, queue: Queue, backend: DurableBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    body_id = start(here, 1)
    (part,) = queue.parts()
    with monkeypatch.context() as crash:
        crash.setattr(backend._joiner, "settle", lambda *_: None)
        part.succeed(backend)
    here.rows("UPDATE chords SET completed_at = now() - interval '1 minute' WHERE closed_at IS NULL RETURNING 1")

    assert backend.rescuer.rescue() == 1
    assert queue.bodies() == [(body_id, [0])]
    assert backend.rescuer.rescue() == 0


def test_a_body_this_worker_does_not_accept_does_not_hold_up_others(
    here: Canvas, queue: Queue, backend: DurableBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    body_ids = [start(here, 1), start(here, 1)]
    with monkeypatch.context() as crash:
        crash.setattr(backend._joiner, "settle", lambda *_: None)
        for part in queue.parts():
            part.succeed(backend)
    here.rows("UPDATE chords SET completed_at = now() - interval '1 minute' WHERE closed_at IS NULL RETURNING 1")
    here.rows(
        "UPDATE chords SET body_content_type = 'application/x-python-serialize', "
        "completed_at = now() - interval '1 hour' "
        "WHERE closed_at IS NULL AND position(%s in convert_from(body, 'UTF8')) > 0 RETURNING 1",
        body_ids[0],
    )

    backend.rescuer.rescue()

    assert queue.bodies() == [(body_ids[1], [0])]
    here.rows("DELETE FROM chords WHERE closed_at IS NULL RETURNING 1")


def test_while_one_process_sends_a_body_no_other_does(
    here: Canvas, queue: Queue, backends: list[DurableBackend]
) -> None:
    start(here, 1)
    (part,) = queue.parts()
    mine, other = backends[:2]
    chord_id = part.request.group

    def second_delivery(*_: Any) -> None:
        part.succeed(other)

    mine._joiner._apply, apply = second_delivery, mine._joiner._apply
    try:
        part.succeed(mine)
    finally:
        mine._joiner._apply = apply

    assert queue.bodies() == []  # `second_delivery` stood where the body would have been sent
    assert here.is_closed(chord_id)


def test_a_body_that_cannot_be_published_stays_due(
    here: Canvas, queue: Queue, broker_url: str, backend: DurableBackend
) -> None:
    app, _ = create_app(
        "redis://127.0.0.1:1/0",
        f"wfe+{here.database_url}",
        here.prefix,
        task_publish_retry=False,
        broker_connection_timeout=0.2,
    )
    body_id = start(here, 1)
    (part,) = queue.parts()

    part.succeed(app.backend)

    app.backend.close()
    assert backend.get_state(part.request.id) == "SUCCESS"
    assert backend.get_state(body_id) == "PENDING"
    part.succeed(backend)
    assert queue.bodies() == [(body_id, [0])]


def test_a_body_that_can_never_be_published_fails(here: Canvas, queue: Queue, backend: DurableBackend) -> None:
    body_id = start(here, 1)
    (part,) = queue.parts()
    part.request.chord["options"]["serializer"] = "no such serializer"

    part.succeed(backend)

    assert backend.get_state(body_id) == "FAILURE"
    assert "Callback error" in str(backend.get_result(body_id))


def test_a_body_delivered_twice_counts_once_in_the_outer_chord(
    here: Canvas, queue: Queue, backend: DurableBackend
) -> None:
    tasks = here.tasks
    inner = chord([tasks.same.s(1)], tasks.total.s())
    outer_id = chord([inner, tasks.same.s(2)])(tasks.same.s()).id
    inner_part, other_part = sorted(queue.parts(), key=lambda part: part.arguments)
    inner_part.succeed(backend)
    (inner_body,) = queue.parts()

    inner_body.succeed(backend, 1)
    inner_body.succeed(backend, 1)
    assert queue.bodies() == []

    other_part.succeed(backend)
    assert queue.bodies() == [(outer_id, [1, 2])]


def test_one_frozen_signature_used_twice_is_two_parts(here: Canvas, queue: Queue, backend: DurableBackend) -> None:
    twice = here.tasks.same.s(5)
    twice.freeze()
    body_id = chord([twice, twice])(here.tasks.same.s()).id
    first, second = queue.parts()
    assert first.request.id == second.request.id

    first.succeed(backend)
    second.succeed(backend)

    assert queue.bodies() == [(body_id, [5, 5])]


def test_chords_that_were_over_long_ago_are_cleaned_up(here: Canvas, queue: Queue, backend: DurableBackend) -> None:
    start(here, 1)
    (part,) = queue.parts()
    part.succeed(backend)
    queue.take()
    start(here, 1)
    (waiting,) = queue.parts()
    here.rows("UPDATE chords SET closed_at = now() - interval '30 days' WHERE closed_at IS NOT NULL RETURNING 1")

    backend.cleanup()

    assert not here.rows("SELECT FROM chords WHERE group_id = %s", part.request.group)
    assert here.rows("SELECT FROM chords WHERE group_id = %s", waiting.request.group)
    here.rows("UPDATE chords SET touched_at = now() - interval '60 days' RETURNING 1")
    backend.cleanup()
    assert not here.rows("SELECT FROM chords WHERE group_id = %s", waiting.request.group)


def test_a_wide_chords_open_count_is_one_row(here: Canvas, queue: Queue, backend: DurableBackend) -> None:
    group_id = str(uuid4())
    body = here.tasks.same.s()
    body.freeze()
    header = group(here.tasks.same.s(number) for number in range(50))
    header.apply_async(chord=body, task_id=group_id)

    for part in queue.parts()[:-1]:
        part.succeed(backend)

    assert here.rows("SELECT arrived, size FROM chords WHERE group_id = %s", group_id) == [(49, 50)]
