"""What one client of a stream is sent: in order, bounded, and with a notice in place of what it does not get."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from tests.support.relays import logged_event
from workflow_engine.api.streams.frames import Frame
from workflow_engine.api.streams.memory import SIZE, Memory
from workflow_engine.api.streams.pace import Pace
from workflow_engine.api.streams.stream import Stream
from workflow_engine.api.streams.topics import Topics
from workflow_engine.ids import RunId
from workflow_engine.relay.history import Interest
from workflow_engine.relay.live import Told

ALL = Interest(namespace="default")
RUN = RunId("0198c0de-0000-7000-8000-000000000001")


def frame(position: int, initiator: str | None = None, **changes: Any) -> Frame:
    return Frame(Told(replace(logged_event(position), **changes), initiator))


def stream(interest: Interest = ALL, *, buffer: int = 3, after: int = 0, rate: int = 0, **options: Any) -> Stream:
    pace = Pace(rate) if rate else None
    return Stream(interest, after=after, buffer=buffer, beat_seconds=20, pace=pace, **options)


def sent(client: Stream, now: float = 0.0) -> list[tuple[str, Any]]:
    """Return the names of what is sent until there is nothing, with ids or, of notices, their data."""
    found: list[tuple[str, Any]] = []
    while data := client.take(now).decode():
        for block in data.strip().split("\n\n"):
            fields = dict(line.partition(": ")[::2] for line in block.split("\n"))
            name = fields.get("event", "")
            about = fields.get("id") if name.startswith("run.") or not name else json.loads(fields["data"])
            found.append((name, about))
    return found


def test_events_come_in_order_and_an_earlier_one_never_again() -> None:
    client = stream(after=1)
    for position in (1, 2, 3, 2, 3, 4):
        client.offer(frame(position), 0)

    assert sent(client) == [("run.started", "2"), ("run.started", "3"), ("run.started", "4")]
    assert sent(client) == []


def test_the_oldest_are_given_up_and_one_gap_tells_of_them() -> None:
    client = stream(after=10)
    for position in range(11, 18):
        client.offer(frame(position), 0)

    gap = {"after": 10, "until": 14, "events": 4, "reason": "slow"}
    assert sent(client) == [("gap", gap), *(("run.started", str(position)) for position in (15, 16, 17))]


def test_an_event_is_written_once_for_all_clients() -> None:
    one, other, event = stream(), stream(), frame(1)
    one.offer(event, 0)
    other.offer(event, 0)

    assert one.take(0) is other.take(0) is event.data


def test_what_comes_too_fast_is_counted_and_told_of_when_the_second_is_over() -> None:
    client = stream(buffer=100, rate=2)
    for position in range(1, 6):
        client.offer(frame(position), 10.0)
    assert sent(client) == [("run.started", "1"), ("run.started", "2")]

    client.tick(10.5, 5)
    assert sent(client) == []
    client.tick(11.0, 5)
    notice = {"after": 2, "until": 5, "events": 3, "names": {"run.started": 3}}
    assert sent(client) == [("coalesced", notice)]
    client.offer(frame(6), 11.1)
    assert sent(client) == [("run.started", "6")]


def test_a_notice_comes_before_what_happened_after_it() -> None:
    client = stream(buffer=100, rate=1)
    for position, now in ((1, 10.0), (2, 10.1), (3, 11.2)):
        client.offer(frame(position), now)

    assert [name for name, _ in sent(client)] == ["run.started", "coalesced", "run.started"]


def test_a_heartbeat_says_how_far_a_client_is_but_not_while_something_is_held_back() -> None:
    client = stream(rate=1)
    client.is_live = True
    client.tick(20.0, 7)
    assert client.take(20.0) == b": heartbeat\nid: 7\n\n"
    client.tick(40.0, 7)
    assert client.take(40.0) == b": heartbeat\n\n"
    for position in (8, 9):
        client.offer(frame(position), 59.9)
    sent(client, 59.9)
    client.tick(60.0, 9)
    assert client.take(80.0) == b""
    client._is_beat_due = True
    assert client.take(80.0) == b": heartbeat\n\n"


def test_a_stream_ends_with_its_token_and_says_so() -> None:
    client = stream(expires_at=30.0)
    client.offer(frame(1), 0)
    client.tick(30.0, 1)

    assert sent(client) == [("end", {"reason": "token_expired"})]
    assert client.is_over


def test_whoever_waits_is_woken_by_an_event_and_by_the_end() -> None:
    async def story() -> None:
        client = stream()
        waiting = asyncio.create_task(client.wait())
        await asyncio.sleep(0)
        client.offer(frame(1), 0)
        await asyncio.wait_for(waiting, 5)
        client.take(0)
        waiting = asyncio.create_task(client.wait())
        await asyncio.sleep(0)
        client.end()
        await asyncio.wait_for(waiting, 5)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("interest", "fits"),
    [
        (Interest(namespace="default", run_id=RUN), True),
        (Interest(namespace="elsewhere", run_id=RUN), False),
        (Interest(namespace="default"), True),
        (Interest(namespace="default", names=frozenset({"run.started", "run.failed"})), True),
        (Interest(namespace="default", names=frozenset({"run.failed"})), False),
        (Interest(namespace="default", initiator="ada"), True),
        (Interest(namespace="default", initiator="bob"), False),
        (Interest(namespace="default", workflow="orders"), False),
    ],
)
def test_an_event_finds_the_streams_that_want_it(interest: Interest, fits: bool) -> None:
    topics, client = Topics(), stream(interest)
    topics.add(client)
    told = frame(1, "ada", run_id=RUN).told

    assert list(topics.interested(told)) == ([client] if fits else [])
    topics.remove(client)
    assert list(topics.interested(told)) == []


def test_the_events_of_a_run_are_remembered_as_long_as_all_others() -> None:
    memory = Memory(0)
    for start in range(0, 3 * SIZE, 100):
        memory.extend([frame(start + each, run_id=RUN if each == 50 else None) for each in range(1, 101)])

    assert memory.position == 3 * SIZE
    assert 0 < memory.floor <= 2 * SIZE
    found, reached = memory.after(memory.floor, 10, RUN)
    assert [each.position for each in found] == [memory.floor + 50 + 100 * number for number in range(10)]
    assert reached == found[-1].position
    assert memory.after(memory.position - 10, 100, RUN) == ([], memory.position)
    assert len(memory.after(memory.position - 10, 100, None)[0]) == 10
