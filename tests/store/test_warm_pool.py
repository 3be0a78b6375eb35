"""The connection that was used last is used next, and nobody is kept waiting for it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest
from psycopg_pool import ConnectionPool

from tests.support.processes import wait_until
from workflow_engine.store import warm_pool
from workflow_engine.store.warm_pool import WarmPool

Warm = WarmPool[psycopg.Connection[tuple[object, ...]]]


@pytest.fixture
def inner(migrated_database: str) -> Iterator[ConnectionPool[psycopg.Connection[tuple[object, ...]]]]:
    with ConnectionPool(
        migrated_database, min_size=1, max_size=2, timeout=30, kwargs={"autocommit": True}, open=True
    ) as pool:
        yield pool


@pytest.fixture
def pool(inner: ConnectionPool[psycopg.Connection[tuple[object, ...]]]) -> Warm:
    return WarmPool(inner)


def use(pool: Warm) -> int:
    """Use a connection, and return the server's process."""
    connection = pool.getconn()
    try:
        connection.execute("SELECT 1")
        return connection.info.backend_pid
    finally:
        pool.putconn(connection)


def open_both(pool: Warm) -> None:
    with ExitStack() as stack:
        for _ in range(2):
            stack.callback(pool.putconn, pool.getconn())


def test_one_of_several_connections_is_used_again_and_again(pool: Warm) -> None:
    open_both(pool)

    assert len({use(pool) for _ in range(10)}) == 1


def test_two_at_once_have_one_each(pool: Warm) -> None:
    first, second = pool.getconn(), pool.getconn()

    assert first.info.backend_pid != second.info.backend_pid

    pool.putconn(first)
    pool.putconn(second)


def test_who_waits_for_the_pool_gets_what_is_given_back(pool: Warm) -> None:
    first, second = pool.getconn(), pool.getconn()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(use, pool)
        wait_until(lambda: pool._waiting == 1, why="somebody waits")
        pool.putconn(first)

        assert waiting.result(10) == first.info.backend_pid
    pool.putconn(second)


def test_many_threads_share_few_connections_and_none_is_lost(pool: Warm) -> None:
    with ThreadPoolExecutor(16) as threads:
        used = set(threads.map(lambda _: use(pool), range(2_000)))

    assert 1 <= len(used) <= 2
    open_both(pool)


def test_a_connection_in_a_transaction_or_broken_is_left_to_the_pool(pool: Warm) -> None:
    unfinished = pool.getconn()
    unfinished.execute("BEGIN")
    pool.putconn(unfinished)

    assert not pool._at_hand

    broken = pool.getconn()
    with pytest.raises(psycopg.OperationalError):
        broken.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    pool.putconn(broken)

    assert not pool._at_hand
    assert use(pool)


def test_now_and_then_a_connection_goes_through_the_pool(pool: Warm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warm_pool, "_TURN", 0.0)
    use(pool)

    assert not pool._at_hand


def test_closing_leaves_no_connection_open_also_not_one_that_comes_back_later(pool: Warm) -> None:
    lent = pool.getconn()
    use(pool)
    kept = pool._at_hand[0]

    pool.close()
    pool.putconn(lent)

    assert kept.closed
    assert lent.closed
    assert not pool._at_hand
