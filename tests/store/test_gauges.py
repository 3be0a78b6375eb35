"""What waits is counted rightly, by index, and at a cost that has a bound."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.fixtures.database import new_database
from workflow_engine.engine.backlog import BacklogGauges
from workflow_engine.errors import DatabaseUnavailable
from workflow_engine.metrics import instruments, readiness
from workflow_engine.metrics.instrument import Instrument, Kind, Source
from workflow_engine.metrics.kept import KEPT_SECONDS
from workflow_engine.model.run import RunState
from workflow_engine.model.step import StepState
from workflow_engine.store import gauges, migration
from workflow_engine.store.database import Database
from workflow_engine.store.gauges import Backlog
from workflow_engine.store.statements import statement
from workflow_engine.store.transaction import Store

LEASE = timedelta(seconds=15)
FINISHED, UNFINISHED = 20_000, 40
"""Runs, of five steps each."""

A_HISTORY = f"""
INSERT INTO plans (namespace, workflow, version, digest, definition) VALUES ('default', 'w', '1', '', '{{}}');
INSERT INTO plan_steps (plan_id, position, name, parents, priority, queue)
SELECT 1, number, 's' || number, 0, 1, CASE number WHEN 1 THEN 'mail' END FROM generate_series(0, 4) AS number;
INSERT INTO runs (id, plan_id, namespace, workflow, version, state, input_digest, correlation_id, sinks_left,
                  created_at, finished_at)
SELECT md5(number::text)::uuid, 1, 'default', 'w', '1',
       CASE WHEN number <= {FINISHED} THEN 'succeeded' WHEN number % 4 = 0 THEN 'pending' ELSE 'running' END, '', '', 1,
       now() - make_interval(secs => 100000 - number), CASE WHEN number <= {FINISHED} THEN now() END
  FROM generate_series(1, {FINISHED + UNFINISHED}) AS number;
INSERT INTO steps (run_id, position, state, attempt, missing, worker_id, ready_at, started_at, finished_at)
SELECT runs.id, place, CASE WHEN runs.finished_at IS NOT NULL THEN 'succeeded'
                            ELSE (ARRAY['dispatched', 'dispatched', 'running', 'ready', 'succeeded'])[place + 1] END,
       1, 0, gen_random_uuid(),
       CASE WHEN runs.finished_at IS NULL AND place = 3 THEN now() - interval '1 minute' END, now(),
       CASE WHEN runs.finished_at IS NOT NULL OR place = 4 THEN now() END
  FROM runs CROSS JOIN generate_series(0, 4) AS place;
INSERT INTO workers (id, name, pid, heartbeat_at)
SELECT gen_random_uuid(), 'w' || number, number, now() - make_interval(secs => CASE WHEN number > 3 THEN 60 ELSE 0 END)
  FROM generate_series(1, 10) AS number;
ANALYZE
"""


@pytest.fixture(scope="module")
def history(postgres_url: str) -> Iterator[Store]:
    """Many finished runs, and a few that are not."""
    with new_database(postgres_url) as url:
        migration.upgrade(url)
        database = Database(url, max_connections=2)
        with database.connection() as connection:
            for command in A_HISTORY.split(";\n"):
                connection.execute(command.encode())
        yield Store(database)
        database.close()


def backlog(store: Store, **options: Any) -> Backlog:
    with store.transaction() as tx:
        return tx.gauges.backlog(LEASE, **options)


def test_what_is_not_finished_is_counted_by_state_and_queue(history: Store) -> None:
    found = backlog(history)

    assert found.runs == {
        RunState.PENDING: UNFINISHED // 4,
        RunState.RUNNING: UNFINISHED * 3 // 4,
        RunState.PAUSED: 0,
        RunState.CANCELLING: 0,
    }
    assert found.steps == {
        StepState.WAITING: 0,
        StepState.READY: UNFINISHED,
        StepState.DISPATCHED: 2 * UNFINISHED,
        StepState.RUNNING: UNFINISHED,
        StepState.RETRYING: 0,
        StepState.SUSPENDED: 0,
    }
    assert found.queues == {None: UNFINISHED, "mail": UNFINISHED}
    assert found.workers_alive == 3
    assert found.oldest_ready_seconds >= 60
    assert found.is_complete


def test_an_empty_database_has_no_backlog(store: Store) -> None:
    found = backlog(store)

    assert (sum(found.runs.values()), sum(found.steps.values()), found.queues) == (0, 0, {})
    assert (found.oldest_ready_seconds, found.workers_alive, found.is_complete) == (0, 0, True)


def test_a_step_that_waits_for_its_time_is_not_late(store: Store) -> None:
    with store.transaction() as tx:
        tx.connection.execute(
            "INSERT INTO steps (run_id, position, state, missing, ready_at)"
            " VALUES (gen_random_uuid(), 0, 'retrying', 0, now() + interval '1 hour')"
        )

    assert backlog(store).oldest_ready_seconds == 0


def test_counting_ends_at_the_limit_and_says_so(history: Store) -> None:
    found = backlog(history, limit=50)

    assert sum(found.steps.values()) <= 50
    assert not found.is_complete


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


def explained(store: Store, name: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a statement and return its plan's nodes, with what each really read."""
    with store.single() as tx:
        ((plan,),) = tx.connection.execute(b"EXPLAIN (ANALYZE, FORMAT JSON) " + statement(name), values).fetchall()
    return list(nodes((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]))


def rows_of(found: list[dict[str, Any]], table: str) -> float:
    """Return the rows read from a table, those filtered away too."""
    return sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in found
        if node.get("Relation Name") == table
    )


@pytest.mark.parametrize(
    ("name", "indexes"),
    [
        ("count_unfinished_runs", {"runs_unfinished_idx"}),
        ("count_unfinished_steps", {"runs_unfinished_idx", "steps_pkey"}),
    ],
)
def test_counting_reads_only_what_is_not_finished(history: Store, name: str, indexes: set[str]) -> None:
    found = explained(history, name, {"limit": gauges.COUNTED})

    assert {node["Index Name"] for node in found if "Index Name" in node} - {"plan_steps_pkey"} == indexes
    assert not {node["Relation Name"] for node in found if node["Node Type"] == "Seq Scan"} & {"runs", "steps"}
    assert rows_of(found, "runs") <= UNFINISHED
    assert rows_of(found, "steps") <= 5 * UNFINISHED


def test_counting_steps_reads_no_more_rows_than_its_limit(history: Store) -> None:
    found = explained(history, "count_unfinished_steps", {"limit": 30})

    assert rows_of(found, "steps") <= 30 + 5  # the last run's may be read together
    assert rows_of(found, "runs") <= 30


def observed(read: BacklogGauges) -> dict[str, dict[tuple[str, ...], float]]:
    """What the gauges answer, by Prometheus's name and the labels' values."""
    return {
        instrument.prometheus_name: {tuple(labels.values()): value for value, labels in values()}
        for instrument, values in read.observed.items()
    }


def gauges_of(store: Store, **options: Any) -> BacklogGauges:
    return BacklogGauges(store, lease=LEASE, default_queue="celery", **options)


def test_a_whole_page_costs_a_few_statements_and_the_next_ones_none(
    store: Store, count_statements: Callable[[], int]
) -> None:
    read = gauges_of(store, monotonic=lambda: 0.0)
    with store.single() as tx:
        tx.connection.execute("SELECT 1")  # a new connection is set up by a statement of its own
    count_statements()

    observed(read)
    assert count_statements() == 8

    observed(read)
    assert count_statements() == 0


def test_gauges_are_read_again_when_they_are_old(store: Store, count_statements: Callable[[], int]) -> None:
    now = 0.0
    read = gauges_of(store, monotonic=lambda: now)
    observed(read)
    count_statements()

    now = KEPT_SECONDS
    observed(read)

    assert count_statements() == 8


def test_the_gauges_show_what_was_counted(history: Store) -> None:
    found = observed(gauges_of(history))

    assert found["wfe_queue_depth"] == {("celery",): UNFINISHED, ("mail",): UNFINISHED}
    assert found["wfe_unfinished_runs"][("running",)] == UNFINISHED * 3 // 4
    assert found["wfe_unfinished_steps"][("dispatched",)] == 2 * UNFINISHED
    assert found["wfe_workers_alive"] == {(): 3}
    assert found["wfe_backlog_complete"] == {(): 1}
    assert found["wfe_database_up"] == {(): 1}
    assert found["wfe_oldest_ready_step_age_seconds"][()] >= 60


def test_a_queue_named_as_the_default_one_is_the_same_queue(history: Store) -> None:
    read = BacklogGauges(history, lease=LEASE, default_queue="mail")

    assert observed(read)["wfe_queue_depth"] == {("mail",): 2 * UNFINISHED}


def test_a_queue_that_is_empty_again_has_a_depth_of_zero(store: Store) -> None:
    now = 0.0
    read = gauges_of(store, monotonic=lambda: now)
    with store.transaction() as tx:
        tx.connection.execute(
            "INSERT INTO plans (namespace, workflow, version, digest, definition) VALUES ('n', 'w', '1', '', '{}');"
            "INSERT INTO plan_steps (plan_id, position, name, parents, priority, queue)"
            " VALUES (1, 0, 's', 0, 1, 'gpu');"
            "INSERT INTO runs (id, plan_id, namespace, workflow, version, state, input_digest, correlation_id,"
            " sinks_left) VALUES (md5('1')::uuid, 1, 'n', 'w', '1', 'pending', '', '', 1);"
            "INSERT INTO steps (run_id, position, state, missing) VALUES (md5('1')::uuid, 0, 'dispatched', 0)"
        )
    assert observed(read)["wfe_queue_depth"] == {("celery",): 0, ("gpu",): 1}

    with store.transaction() as tx:
        tx.connection.execute("TRUNCATE steps")
    now = KEPT_SECONDS

    assert observed(read)["wfe_queue_depth"] == {("celery",): 0, ("gpu",): 0}


def test_lag_and_dead_letters_are_those_of_each_subscriber(store: Store) -> None:
    with store.transaction() as tx:
        tx.cursors.register({"slack": True})
        tx.connection.execute(
            "INSERT INTO events (namespace, name, data, occurred_at)"
            " SELECT 'n', 'run.started', '{}', now() - interval '1 minute' FROM generate_series(1, 3)"
        )
        tx.connection.execute(
            "INSERT INTO deliveries (subscriber, position, event_id, event_name, namespace, envelope, state, tries,"
            " failed_at) SELECT 'slack', n, gen_random_uuid(), 'run.failed', 'n', '{}', 'dead', 3, now()"
            " FROM generate_series(1, 2) AS n"
        )
    try:
        found = observed(gauges_of(store))
    finally:
        with store.transaction() as tx:
            tx.connection.execute("TRUNCATE deliveries, cursors")

    assert found["wfe_relay_lag_events"] == {("slack",): 3}
    assert 60 <= found["wfe_relay_lag_seconds"][("slack",)] < 3_600
    assert found["wfe_dead_letters"] == {("slack",): 2}


def test_a_database_that_does_not_answer_leaves_gaps_and_is_asked_no_more_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Store(Database("postgresql://nobody@127.0.0.1:1/none"))
    asked: list[None] = []

    def refuse() -> None:
        asked.append(None)
        raise DatabaseUnavailable("nobody there")

    monkeypatch.setattr(store, "transaction", refuse)
    read = gauges_of(store, monotonic=lambda: 0.0)

    found = observed(read)

    assert found.pop("wfe_database_up") == {(): 0}
    assert all(values == {} for values in found.values())
    assert len(asked) == 1


def test_a_statement_that_is_held_up_is_given_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gauges, "_LONGEST", timedelta(milliseconds=50))
    with psycopg.connect(store.database.url) as holder:
        holder.execute("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE")

        with pytest.raises(DatabaseUnavailable, match="statement timeout"):
            backlog(store)


def test_every_gauge_of_the_coordinator_is_answered_for(store: Store) -> None:
    from_the_database = {
        each
        for each in instruments.INSTRUMENTS
        if Source.COORDINATOR in each.sources
        and each.kind is Kind.GAUGE
        and each not in {readiness.IS_LEADER, readiness.STALE_RUNS, instruments.CIRCUIT_STATE}
    }

    answered: set[Instrument] = set(gauges_of(store).observed)
    assert answered == from_the_database
