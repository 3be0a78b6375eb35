"""Streams while the database is away, and after the log has let go of what a client missed."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.support.api_server import served
from tests.support.processes import wait_until
from tests.support.relays import append_within
from tests.support.sse import connect, watching
from workflow_engine import Engine, Settings
from workflow_engine.api.wiring import api_of
from workflow_engine.config import Streams
from workflow_engine.embedded.postgres import EmbeddedPostgres

BROKER = "redis://127.0.0.1:1/0"


def tell(url: str, number: int) -> list[int]:
    """Append events and ring the bell; return their places."""
    with psycopg.connect(url, autocommit=True) as connection:
        places = append_within(connection, number)
        connection.execute("NOTIFY wfe_events")
        return places


@pytest.fixture
def engine(own_database: EmbeddedPostgres) -> Iterator[Engine]:
    """On a PostgreSQL that may be stopped."""
    settings = Settings(
        database_url=own_database.url,
        broker_url=BROKER,
        api_auth="off",
        streams=Streams(heartbeat_seconds=0.5),
    )
    made = Engine(settings)
    yield made
    made.close()


def test_a_stream_stays_while_the_database_is_away_and_goes_on_without_loss(
    engine: Engine, own_database: EmbeddedPostgres
) -> None:
    with served(api_of(engine)) as url, watching(f"{url}/v1/events/stream") as stream:
        before = tell(own_database.url, 3)
        stream.wait_for_positions(before)
        own_database.stop()
        beats = len(stream.comments)
        wait_until(lambda: len(stream.comments) >= beats + 3, why="heartbeats go on")
        own_database.start()
        after = tell(own_database.url, 3)
        stream.wait_for_positions(after)

        assert stream.positions == before + after
        assert not stream.is_over


def test_who_was_away_for_longer_than_the_log_is_kept_is_told(engine: Engine, own_database: EmbeddedPostgres) -> None:
    tell(own_database.url, 30)
    with psycopg.connect(own_database.url, autocommit=True) as connection:
        connection.execute("TRUNCATE events")
    (place,) = tell(own_database.url, 1)

    with served(api_of(engine)) as url, watching(f"{url}/v1/events/stream?last_event_id=7") as stream:
        stream.wait_for_positions([place])

    (gap,) = stream.named("gap")
    assert gap.data == {"after": 7, "until": place - 1, "events": None, "reason": "retention"}
    assert stream.positions == [place]


def test_a_client_that_leaves_leaves_nothing_behind(engine: Engine) -> None:
    app = api_of(engine)
    hub = app.state.parts.live.hub
    with served(app) as url:
        for _ in range(5):
            with watching(f"{url}/v1/events/stream"), watching(f"{url}/v1/events/stream?last_event_id=0"):
                assert len(hub) >= 2
        wait_until(lambda: len(hub) == 0, why="their streams are closed")


def test_one_stream_too_many_is_refused_and_told_to_come_again(own_database: EmbeddedPostgres) -> None:
    settings = Settings(
        database_url=own_database.url, broker_url=BROKER, api_auth="off", streams=Streams(most=1, retry_seconds=0.5)
    )
    engine = Engine(settings)
    with served(api_of(engine)) as url, watching(f"{url}/v1/events/stream") as stream:
        refused = connect(f"{url}/v1/events/stream")

    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert stream.retry == 500
    engine.close()
