"""Chords on real workers that are killed, whose messages come twice, or that run a part in two places at once."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from celery import chord
from celery.exceptions import ChordError
from kombu import Producer, Queue
from kombu.message import Message

from tests.integration.backend.running import Canvas, canvas, wait_until

SECONDS = 30


@pytest.fixture
def here(postgres_url: str, broker_url: str) -> Iterator[Canvas]:
    with canvas(postgres_url, broker_url) as here:
        yield here


@pytest.mark.parametrize("acks_late", ["1", pytest.param("0", marks=pytest.mark.slow)])
def test_a_pool_process_killed_between_commit_and_body_loses_no_chord(
    here: Canvas, tmp_path: Path, acks_late: str
) -> None:
    died = tmp_path / "died"
    variables = {"CANVAS_DIED": str(died), "CANVAS_ACKS_LATE": acks_late}

    with here.worker("--pool", "prefork", "--concurrency", "1", scheme="dying", **variables):
        header = [here.tasks.same.s(number) for number in range(3)]
        result = chord(header)(here.tasks.traced.s(entry="body"))
        assert result.get(timeout=SECONDS) == [0, 1, 2]

    assert died.exists()
    assert here.traced("body") == 1


@pytest.mark.parametrize("acks_late", ["1", pytest.param("0", marks=pytest.mark.slow)])
def test_a_worker_killed_between_commit_and_body_leaves_the_chord_to_another(
    here: Canvas, tmp_path: Path, acks_late: str
) -> None:
    variables = {"CANVAS_DIED": str(tmp_path / "died"), "CANVAS_ACKS_LATE": acks_late}
    with here.worker("--pool", "threads", "--concurrency", "1", scheme="dying", **variables) as worker:
        header = [here.tasks.same.s(number) for number in range(3)]
        result = chord(header)(here.tasks.traced.s(entry="body"))
        worker.process.wait(timeout=SECONDS)
    assert here.traced("body") == 0

    with here.worker("--pool", "threads", "--concurrency", "1"):
        assert result.get(timeout=SECONDS) == [0, 1, 2]

    assert here.traced("body") == 1


@pytest.mark.slow
def test_a_part_over_its_hard_time_limit_fails_its_chord(here: Canvas) -> None:
    with here.worker("--pool", "prefork", "--concurrency", "1"):
        slow = here.tasks.slow.s(1, 60).set(time_limit=1)
        result = chord([slow, here.tasks.same.s(2)])(here.tasks.total.s())
        result.parent = None
        with pytest.raises(ChordError, match="TimeLimitExceeded"):
            result.get(timeout=SECONDS)


@pytest.mark.slow
def test_a_part_that_kills_its_process_fails_its_chord_if_it_is_not_to_run_again(here: Canvas) -> None:
    with here.worker("--pool", "prefork", "--concurrency", "1", CANVAS_ACKS_LATE="0"):
        result = chord([here.tasks.dies.s(), here.tasks.same.s(2)])(here.tasks.total.s())
        result.parent = None
        with pytest.raises(ChordError, match="WorkerLostError"):
            result.get(timeout=SECONDS)


def test_parts_of_a_killed_worker_are_run_by_another(here: Canvas) -> None:
    header = [here.tasks.slow.s(number, 0.2) for number in range(6)]
    # It fetches all parts at once: kombu's own transport takes a message from its list before it notes that it has it,
    # and loses one if it is killed in between.
    options = ("--pool", "prefork", "--concurrency", "2", "--prefetch-multiplier", "4")
    with here.worker(*options, CANVAS_VISIBILITY="1") as worker:
        result = chord(header)(here.tasks.traced.s(entry="body"))
        wait_until(lambda: here.traced("slow") >= 2, why="some parts have run")
        worker.kill()

    with here.worker("--pool", "prefork", "--concurrency", "2", CANVAS_VISIBILITY="1"):
        assert result.get(timeout=SECONDS) == list(range(6))

    assert here.traced("body") == 1


def publish_as_it_is(producer: Producer, queue: Queue, message: Message) -> None:
    """Send a copy of a message."""
    producer.publish(
        message.body,
        exchange="",
        routing_key=queue.name,
        headers=message.headers,
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        **{key: message.properties[key] for key in ("correlation_id", "reply_to") if key in message.properties},
    )


def test_messages_sent_twice_count_once(here: Canvas) -> None:
    header = [here.tasks.traced.s(number, entry="part") for number in range(5)]
    result = chord(header)(here.tasks.traced.s(entry="body"))
    with here.queue() as queue, here.app.producer_or_acquire() as producer:
        for message in list(iter(partial(queue.get, no_ack=True), None)):
            for _ in range(2):
                publish_as_it_is(producer, queue, message)

    with here.worker("--pool", "threads", "--concurrency", "4"):
        assert result.get(timeout=SECONDS) == list(range(5))
        wait_until(lambda: here.traced("part") == 10, why="every copy has run")

    assert here.traced("body") == 1


@pytest.mark.slow
@pytest.mark.redis  # RabbitMQ has no visibility timeout
def test_a_part_that_outlives_its_visibility_timeout_counts_once(here: Canvas) -> None:
    with here.worker("--pool", "threads", "--concurrency", "8", CANVAS_VISIBILITY="1"):
        header = [here.tasks.slow_at_first.s(number, 3.0) for number in range(3)]
        result = chord(header)(here.tasks.traced.s(entry="body"))
        assert result.get(timeout=SECONDS) == [0, 1, 2]
        wait_until(lambda: here.traced("first") == 3, why="the late originals have ended too")
        assert here.traced("redelivered") >= 3

    assert here.traced("body") == 1
