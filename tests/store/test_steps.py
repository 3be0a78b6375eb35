"""Claim and complete: each moves a step once, and only from where it may."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from psycopg import Connection

from tests.support.recording import (
    RecordingDispatcher,
    claim,
    complete,
    event_names,
    fail,
    graph,
    lose,
    run_all,
    run_state,
    states,
    submit,
)
from workflow_engine.engine.processor import Processor
from workflow_engine.model.commands import ProcessReadiness
from workflow_engine.store.database import Database
from workflow_engine.store.transaction import Store

DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
SOON = timedelta(0)


def test_a_diamond_runs_parents_before_children_and_succeeds(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph(DIAMOND))

    order = run_all(processor, dispatcher)

    assert order == ["a", "b", "c", "d"]
    assert run_state(store, run_id) == "succeeded"
    assert set(event_names(store, run_id).values()) == {1}


def test_claim_complete_and_submit_are_one_statement_each(
    processor: Processor, dispatcher: RecordingDispatcher, count_statements: Callable[[], int]
) -> None:
    workflow = graph(DIAMOND)
    submit(processor, workflow)
    run_all(processor, dispatcher)  # the plan is known now
    count_statements()

    submit(processor, workflow)
    assert count_statements() == 1 + 2  # register looks the plan up; a client does that once
    message = dispatcher.take("a")
    claim(processor, message)
    assert count_statements() == 1
    complete(processor, message)
    assert count_statements() == 1


def test_only_one_of_two_workers_claims_an_attempt(processor: Processor, dispatcher: RecordingDispatcher) -> None:
    submit(processor, graph({"a": ()}))
    message = dispatcher.take("a")

    with ThreadPoolExecutor(8) as threads:
        claims = list(threads.map(lambda _: claim(processor, message), range(8)))

    assert sum(each is not None for each in claims) == 1


def test_a_completion_delivered_twice_counts_once(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph(DIAMOND))
    first = dispatcher.take("a")
    claim(processor, first)

    complete(processor, first)
    complete(processor, first)

    assert event_names(store, run_id)["step.completed", "a"] == 1
    assert event_names(store, run_id)["step.dispatched", "b"] == 1


def test_a_repeated_message_sends_children_again_that_nobody_claimed(
    processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    submit(processor, graph(DIAMOND))
    first = dispatcher.take("a")
    claim(processor, first)
    complete(processor, first)
    claim(processor, dispatcher.take("b"))
    dispatcher.sent.clear()  # the worker died before it could send c

    assert claim(processor, first) is None

    assert [message.step for message in dispatcher.sent] == ["c"]


def test_a_late_attempt_changes_nothing(processor: Processor, dispatcher: RecordingDispatcher, store: Store) -> None:
    run_id = submit(processor, graph({"a": ()}))
    old = dispatcher.take("a")
    claim(processor, old)
    lose(processor, old)
    processor.execute(ProcessReadiness(limit=10))
    new = dispatcher.take("a")
    assert (new.attempt, claim(processor, new) is not None) == (2, True)

    complete(processor, old)
    fail(processor, old)

    assert states(store, run_id) == {"a": "running"}


def test_the_message_of_an_earlier_attempt_claims_nothing_of_the_next(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    run_id = submit(processor, graph({"a": ()}))
    old = dispatcher.take("a")
    claim(processor, old)
    fail(processor, old, retry_in=SOON)
    processor.execute(ProcessReadiness(limit=10))

    assert claim(processor, old) is None

    assert states(store, run_id) == {"a": "dispatched"}
    assert claim(processor, dispatcher.take("a")) is not None


@pytest.mark.parametrize("parents", [2, 10, 100])
def test_every_join_is_dispatched_once_under_concurrency(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store, parents: int
) -> None:
    joins = 20 if parents < 100 else 4
    edges: dict[str, tuple[str, ...]] = {f"p{number}": () for number in range(parents)}
    edges |= {f"j{number}": tuple(f"p{parent}" for parent in range(parents)) for number in range(joins)}
    run_id = submit(processor, graph(edges))
    messages = list(dispatcher.sent)
    dispatcher.sent.clear()

    def deliver(message: object) -> None:
        claim(processor, message)  # type: ignore[arg-type]
        complete(processor, message)  # type: ignore[arg-type]
        complete(processor, message)  # type: ignore[arg-type]

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(deliver, messages))

    told = event_names(store, run_id)
    assert {told["step.dispatched", f"j{number}"] for number in range(joins)} == {1}
    assert {message.step for message in dispatcher.sent} == {f"j{number}" for number in range(joins)}


def test_a_completion_reads_the_same_few_rows_though_it_was_planned_while_the_tables_were_small(
    processor: Processor, dispatcher: RecordingDispatcher, store: Store
) -> None:
    edges: dict[str, tuple[str, ...]] = {"a": (), "b": ("a",)}
    submit(processor, graph(edges))
    with store.single() as tx:
        tx.connection.execute("ANALYZE")
    database = Database(store.database.url, max_connections=1)
    processor = Processor(Store(database), dispatcher)
    run_all(processor, dispatcher)
    submit(processor, graph(edges | {f"x{number}": () for number in range(3_000)}))
    message = dispatcher.take("a")

    with database.connection() as connection:
        before = _rows_read(connection)
    claim(processor, message)
    complete(processor, message)
    with database.connection() as connection:
        after = _rows_read(connection)
    database.close()

    assert [message.step for message in dispatcher.sent][-1] == "b"
    assert after - before < 10


def _rows_read(connection: Connection[Any]) -> int:
    """Return the rows of ``steps`` that this connection has read and not yet reported."""
    row = connection.execute(
        "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) AS read "
        "FROM pg_stat_xact_user_tables WHERE relname = 'steps'"
    ).fetchone()
    return int(row.read)


def test_hot_updates_stay_in_their_page(processor: Processor, dispatcher: RecordingDispatcher, store: Store) -> None:
    workflow = graph(DIAMOND)
    for _ in range(100):
        submit(processor, workflow)
    run_all(processor, dispatcher)

    with store.single() as tx:
        tx.connection.execute("SELECT pg_stat_force_next_flush()")
        row = tx.connection.execute(
            "SELECT n_tup_upd AS updated, n_tup_hot_upd AS hot FROM pg_stat_user_tables WHERE relname = 'steps'"
        ).fetchone()

    assert row.hot / row.updated > 0.6


def test_a_repeated_completion_sends_again_what_the_first_set_free(
    processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    submit(processor, graph(DIAMOND))
    message = dispatcher.take("a")
    claim(processor, message)
    complete(processor, message)
    dispatcher.sent.clear()  # the answer was lost, and with it what was to be sent

    complete(processor, message)

    assert [sent.step for sent in dispatcher.sent] == ["b", "c"]
