"""Streams of events, from processes of the API as they are served: what comes, what does not, and after a cut."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from tests.fixtures.database import new_database
from tests.integration.api.flows import orders
from tests.support.api_process import ApiProcess, api_process
from tests.support.processes import wait_until
from tests.support.relays import append_within
from tests.support.sse import Watching, connect, watching
from tests.support.tokens import SECRET, seconds_from_now, signed
from workflow_engine import Client, Settings
from workflow_engine.model.codec import event_as_values

HEARTBEAT = 0.5
BUFFER = 50


@pytest.fixture(scope="module")
def api_database(postgres_url: str, template_database: str) -> Iterator[str]:
    """A database of these tests, which delete events."""
    with new_database(postgres_url, template=template_database) as made:
        yield made


@pytest.fixture(scope="module")
def environment(api_database: str, broker_url: str) -> dict[str, str]:
    """What the processes of the API are told."""
    return {
        "WFE_DATABASE_URL": api_database,
        "WFE_BROKER_URL": broker_url,
        "WFE_API_SECRET": SECRET,
        "WFE_STREAMS__HEARTBEAT_SECONDS": str(HEARTBEAT),
        "WFE_STREAMS__BUFFER": str(BUFFER),
        "WFE_POLL_SECONDS": "3600",
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For logs."""
    return tmp_path_factory.mktemp("streams")


@pytest.fixture(scope="module")
def servers(folder: Path, environment: dict[str, str]) -> Iterator[list[ApiProcess]]:
    """Two processes of the API on one database."""
    with api_process(folder, **environment) as first, api_process(folder, **environment) as second:
        assert first.url != second.url
        yield [first, second]


@pytest.fixture(scope="module")
def url(servers: list[ApiProcess]) -> str:
    """Where one of them is."""
    return servers[0].url


@pytest.fixture(scope="module")
def client(api_database: str, broker_url: str) -> Iterator[Client]:
    """Submits runs that nobody takes."""
    with Client(Settings(database_url=api_database, broker_url=broker_url, queue="nobody-takes-these")) as made:
        yield made


@pytest.fixture
def writer(api_database: str) -> Iterator[psycopg.Connection[object]]:
    """Appends to the log."""
    with psycopg.connect(api_database, autocommit=True) as connection:
        yield connection


def tell(connection: psycopg.Connection[object], number: int = 1, **options: str) -> list[int]:
    """Append events and ring the bell; return their places."""
    places = append_within(connection, number, **options)
    connection.execute("NOTIFY wfe_events")
    return places


def bearer(**claims: Any) -> dict[str, str]:
    """Return the header of somebody who may see every namespace, unless the claims say otherwise."""
    return {"Authorization": f"Bearer {signed(**{'namespaces': ['*'], **claims})}"}


def watch(url: str, **headers: str) -> AbstractContextManager[Watching]:
    """Watch as somebody who may see every namespace."""
    return watching(url, **{**bearer(), **headers})


def test_the_events_of_a_run_come_as_they_happen_and_no_others(url: str, client: Client) -> None:
    run, other = client.submit(orders, {"order_id": 1}), client.submit(orders, {"order_id": 2})

    with watch(f"{url}/v1/runs/{run.id}/events/stream") as stream:
        other.cancel()
        run.cancel()
        stream.wait_for("run.cancelled")

    assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
    wanted = {event.position: event for event in run.events()}
    assert stream.positions == sorted(stream.positions)
    for each in stream.events:
        assert each.id in wanted
        assert (each.event, each.data) == (wanted[each.id].name, event_as_values(wanted[each.id]))


def test_who_begins_at_nought_gets_all_of_a_run_and_then_what_comes(url: str, client: Client) -> None:
    run = client.submit(orders, {"order_id": 3})

    with watch(f"{url}/v1/events/stream?run={run.id}&last_event_id=0") as stream:
        stream.wait_for("run.submitted")
        run.cancel()
        stream.wait_for("run.cancelled")

    assert stream.positions == [event.position for event in run.events()]


def test_globs_and_namespaces_choose_what_comes(url: str, writer: psycopg.Connection[object]) -> None:
    place = f"{url}/v1/events/stream"
    with watch(f"{place}?event=run.f*&event=step.lost") as some, watch(f"{place}?namespace=elsewhere") as other:
        tell(writer, name="run.started")
        failed = tell(writer, name="run.failed")
        lost = tell(writer, name="step.lost")
        some.wait_for("step.lost")

    assert some.positions == failed + lost
    assert other.events == []


def test_a_heartbeat_comes_and_says_how_far_the_client_is(url: str, writer: psycopg.Connection[object]) -> None:
    with watch(f"{url}/v1/events/stream?event=run.expired") as stream:
        began_at = stream.last_id
        (place,) = tell(writer, name="run.started")
        wait_until(lambda: stream.last_id == place, within=10, why="a heartbeat says so")

    assert began_at is not None
    assert began_at < place
    assert stream.comments[0] == "heartbeat"
    assert stream.events == []
    assert stream.retry == 2_000


def write(database_url: str, namespace: str, seed: int, enough: Event) -> list[int]:
    """Append events until it is enough, some of them for nothing; return the places of those that are there."""
    own, places = random.Random(seed), list[int]()
    with psycopg.connect(database_url) as connection:
        while not enough.is_set():
            rows = connection.execute(
                "INSERT INTO events (namespace, name, data) "
                "SELECT %s, 'run.started', '{}' FROM generate_series(1, %s) RETURNING id",
                [namespace, own.randint(1, 5)],
            ).fetchall()
            connection.execute("NOTIFY wfe_events")
            Event().wait(own.random() * 0.01)
            if own.random() < 0.1:
                connection.rollback()
            else:
                connection.commit()
                places += [place for (place,) in rows]
    return places


def test_nothing_is_missing_and_nothing_twice_though_the_connection_is_cut_at_random(
    servers: list[ApiProcess], api_database: str
) -> None:
    """Four writers commit in any order, and roll back; the client comes back, to either process of the API."""
    namespace, chance = f"cuts-{uuid4().hex[:8]}", random.Random(4711)
    enough = Event()

    got, last, written = list[int](), 0, list[int]()
    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, api_database, namespace, seed, enough) for seed in range(4)]
        for cuts in range(1_000):
            if cuts == 12:
                enough.set()
                written = sorted(place for each in writers for place in each.result())
            if written and got and got[-1] >= written[-1]:
                break
            where = chance.choice(servers).url
            with watch(f"{where}/v1/events/stream?namespace={namespace}", **{"Last-Event-ID": str(last)}) as stream:
                Event().wait(chance.random() * 0.15)
            got += stream.positions
            assert not stream.named("gap")
            last = stream.last_id or last

    assert got == written


def test_a_client_that_does_not_read_loses_the_oldest_is_told_and_harms_nobody(
    url: str, writer: psycopg.Connection[object]
) -> None:
    namespace = f"stalls-{uuid4().hex[:8]}"
    place = f"{url}/v1/events/stream?namespace={namespace}"
    text = "x" * 16_000
    with watch(place) as quick:
        stalled = connect(place, receive_buffer=4_096, **bearer())
        places = []
        for _ in range(30):
            places += [
                row[0]
                for row in writer.execute(
                    "INSERT INTO events (namespace, name, data) "
                    "SELECT %s, 'run.started', jsonb_build_object('a', %s::text) "
                    "FROM generate_series(1, 20) RETURNING id",
                    [namespace, text],
                )
            ]
            writer.execute("NOTIFY wfe_events")
            quick.wait_for_positions(places)
        thread = ThreadPoolExecutor(1).submit(stalled.read_on)
        stalled.wait_for("gap")
        stalled.wait_for_positions(places[-1:])
        stalled.cut()
        thread.result()

    assert quick.positions == places
    assert not quick.named("gap")
    (gap,) = stalled.named("gap")
    missing = [each for each in places if each not in stalled.positions]
    assert gap.data == {"after": missing[0] - 1, "until": missing[-1], "events": len(missing), "reason": "slow"}
    assert gap.id == missing[-1]
    assert stalled.positions == [each for each in places if each not in missing]


def test_a_ticket_opens_one_stream_of_any_process_once(servers: list[ApiProcess], client: Client) -> None:
    run = client.submit(orders, {"order_id": 4})
    ticket = httpx.post(f"{servers[0].url}/v1/events/tickets", headers=bearer())
    assert ticket.status_code == 201
    query = f"ticket={ticket.json()['ticket']}&last_event_id=0"

    with watching(f"{servers[1].url}/v1/runs/{run.id}/events/stream?{query}") as stream:
        stream.wait_for("run.submitted")
    refused = [connect(f"{server.url}/v1/runs/{run.id}/events/stream?{query}") for server in servers]

    assert [each.status for each in refused] == [401, 401]


def test_a_ticket_is_good_for_a_minute(url: str, writer: psycopg.Connection[object]) -> None:
    ticket = httpx.post(f"{url}/v1/events/tickets", headers=bearer()).json()["ticket"]
    left = writer.execute("SELECT max(expires_at) - clock_timestamp() FROM stream_tickets").fetchone()
    writer.execute("UPDATE stream_tickets SET expires_at = clock_timestamp() - interval '1 ms'")

    assert left is not None
    assert 50 < left[0].total_seconds() <= 60  # type: ignore[attr-defined]
    assert connect(f"{url}/v1/events/stream?ticket={ticket}").status == 401


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("last_event_id=-1", 422, "last_event_id"),
        ("last_event_id=17.5", 422, "last_event_id"),
        ("last_event_id=99999999999999999999", 422, "last_event_id"),
        ("event=run.fialed", 422, "event"),
        ("event=nothing.*", 422, "event"),
        ("mine=maybe", 422, "mine"),
        ("namespace=", 422, "namespace"),
        ("namespace=a%00", 422, "namespace"),
        ("workflow=a%00", 422, "workflow"),
        ("ticket=invented", 401, "ticket"),
        ("run=00000000-0000-7000-8000-000000000000", 404, None),
        ("run=1%27%20OR%201=1", 404, None),
    ],
)
def test_what_cannot_be_watched_is_refused_by_name(url: str, query: str, code: int, field: str | None) -> None:
    answer = httpx.get(f"{url}/v1/events/stream?{query}", headers=bearer())

    assert answer.status_code == code
    assert [each["field"] for each in answer.json().get("errors", [])] == ([field] if field else [])


def test_a_run_of_another_namespace_is_not_there(url: str, client: Client) -> None:
    run = client.submit(orders, {"order_id": 5})

    assert httpx.get(f"{url}/v1/runs/{run.id}/events/stream?namespace=elsewhere", headers=bearer()).status_code == 404


def test_a_place_that_the_log_does_not_have_is_told_of(url: str) -> None:
    with watch(f"{url}/v1/events/stream?namespace=nowhere&last_event_id={2**62}") as stream:
        (gap,) = stream.wait_for("gap")

    assert (gap.data["after"], gap.data["reason"]) == (2**62, "unknown_position")
    assert gap.data["until"] < 2**62


def test_whoever_may_not_watch_is_not_let_in(url: str, client: Client) -> None:
    run = client.submit(orders, {"order_id": 6})
    ours, all_of = f"{url}/v1/runs/{run.id}/events/stream", f"{url}/v1/events/stream"

    assert connect(ours).status == 401
    assert connect(ours, **bearer(scopes=["runs:read"])).status == 403
    assert connect(ours, **bearer(namespaces=["elsewhere"])).status == 404
    assert connect(f"{all_of}?namespace=default", **bearer(namespaces=["elsewhere"])).status == 403
    assert httpx.post(f"{url}/v1/events/tickets", headers=bearer(scopes=["runs:read"])).status_code == 403


def test_a_stream_ends_with_its_token(url: str) -> None:
    with watching(f"{url}/v1/events/stream", **bearer(exp=seconds_from_now(2))) as stream:
        wait_until(lambda: stream.is_over, within=5, why="the token has expired")

    assert [(each.event, each.data) for each in stream.events][-1] == ("end", {"reason": "token_expired"})


def test_a_user_follows_their_own_runs_and_is_told_at_once_of_what_comes_too_fast(url: str, client: Client) -> None:
    """40 runs are submitted at once: ten events come, a notice stands for the others, and later ones come again."""
    ada = f"ada-{uuid4().hex[:8]}"
    with watching(f"{url}/v1/events/stream?mine=true&event=run.*", **bearer(sub=ada)) as stream:
        client.submit(orders, {"order_id": 7}, initiator="bob")
        runs = client.submit_many(orders, [{"order_id": number} for number in range(40)], initiator=ada)
        (notice,) = stream.wait_for("coalesced")
        runs[0].cancel()
        stream.wait_for("run.cancelled")

    came = stream.named("run.submitted")
    assert len(came) == 10
    assert {each.data["run_id"] for each in came} <= {run.id for run in runs}
    assert notice.data["events"] == sum(notice.data["names"].values()) == 40 - 10
    assert notice.data["after"] == came[-1].id
    assert notice.id == notice.data["until"]


def test_who_comes_back_gets_their_own_runs_from_the_log(url: str, client: Client) -> None:
    ada = f"ada-{uuid4().hex[:8]}"
    run = client.submit(orders, {"order_id": 8}, initiator=ada)
    client.submit(orders, {"order_id": 9}, initiator="bob")

    with watching(f"{url}/v1/events/stream?mine=true&last_event_id=0", **bearer(sub=ada)) as stream:
        stream.wait_for("run.submitted")
        run.cancel()
        stream.wait_for("run.cancelled")

    assert {each.data["run_id"] for each in stream.events} == {run.id}


def test_streams_end_at_once_when_the_process_is_told_to_stop(folder: Path, environment: dict[str, str]) -> None:
    with api_process(folder, **environment) as server, watch(f"{server.url}/v1/events/stream") as stream:
        server.tell_to_stop()

        wait_until(lambda: stream.is_over, within=8, why="the stream has ended")
        wait_until(lambda: server.process.returncode is not None, within=8, why="the process has ended")
        assert server.process.returncode == 0
