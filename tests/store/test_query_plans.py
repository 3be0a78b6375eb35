"""Every statement is planned on 50,000 steps as production plans it, and the hot ones find their rows by key."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import product
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests.fixtures.database import new_database
from workflow_engine.ids import RunId
from workflow_engine.model.dead_letters import DeadLetterState, StepDeadLetter
from workflow_engine.model.pages import Place
from workflow_engine.model.run_filter import RunOrder, run_filter
from workflow_engine.store import migration
from workflow_engine.store.database import Database
from workflow_engine.store.hot_steps import claim_statement, completion_statement
from workflow_engine.store.run_questions import RunQuestion
from workflow_engine.store.run_search import RunSearch
from workflow_engine.store.statements import _FOLDER, statement
from workflow_engine.store.step_dead_letters import StepDeadLetterFilter
from workflow_engine.store.transaction import Transaction

STATEMENTS = sorted(file.name.removesuffix(".sql") for file in _FOLDER.iterdir())
GROWING = {
    "step_dead_letters",
    "steps",
    "runs",
    "events",
    "audit_log",
    "deliveries",
    "task_results",
    "task_groups",
    "chords",
    "chord_parts",
    "schedules",
    "occurrences",
    "run_labels",
}
"""Tables that grow with every run."""
_PARTITION = re.compile(r"_(\d{4}_\d{2}|default)")
"""What a partition's name, and its index's, have more than the table's."""
UPKEEP = {"chord_abandon", "chord_expire", "log_position_at"}
"""Celery's cleanup, once a day, in batches, and a question of people: an index would cost every chord, every event."""
TYPES = {"body": "bytea"}
"""Of values whose type PostgreSQL cannot know from the statement; psycopg says it."""
A_HISTORY = """
INSERT INTO plans (namespace, workflow, version, digest, definition) VALUES ('default', 'w', '1', '', '{}');
INSERT INTO plan_steps (plan_id, position, name, parents, priority)
SELECT 1, number, 's' || number, least(number, 1), 1 FROM generate_series(0, 4) AS number;
INSERT INTO runs (id, plan_id, namespace, workflow, version, state, input_digest, correlation_id, sinks_left,
                  created_at, started_at, finished_at, idempotency_key, tags, agent, initiator)
SELECT md5(number::text)::uuid, 1, 'default', 'w' || number % 50, '1',
       CASE WHEN number % 200 = 0 THEN 'running' ELSE 'succeeded' END, '', 'c' || number % 1000,
       CASE WHEN number % 200 = 0 THEN 1 ELSE 0 END, now() - make_interval(secs => 20000 - number), now(),
       CASE WHEN number % 200 = 0 THEN NULL ELSE now() END, 'key' || number,
       ARRAY['t' || number % 100], 'agent' || number % 50, 'user' || number % 200
  FROM generate_series(1, 10000) AS number;
INSERT INTO steps (run_id, position, state, attempt, missing, worker_id, ready_at, started_at, finished_at)
SELECT runs.id, place, CASE WHEN runs.finished_at IS NOT NULL THEN 'succeeded'
                            ELSE (ARRAY['running', 'dispatched', 'ready', 'retrying', 'waiting'])[place + 1] END,
       1, 0, gen_random_uuid(), CASE WHEN runs.finished_at IS NULL AND place IN (2, 3) THEN now() END, now(),
       runs.finished_at
  FROM runs CROSS JOIN generate_series(0, 4) AS place;
INSERT INTO events (run_id, namespace, correlation_id, name, data)
SELECT run_id, 'default', '', 'step.completed', '{}' FROM steps;
INSERT INTO step_dead_letters (run_id, position, attempt, attempts, namespace, workflow, version, step, error_class,
                               message, failed_at, state, closed_at)
SELECT md5(number::text)::uuid, 0, 1, 1, 'default', 'w' || number % 50, '1', 'a', 'Boom', 'no',
       now() - make_interval(secs => number), CASE WHEN number % 10 = 0 THEN 'dead' ELSE 'requeued' END,
       CASE WHEN number % 10 > 0 THEN now() END
  FROM generate_series(1, 10000) AS number;
INSERT INTO task_results (task_id, state, content_type, content_encoding, expires_at)
SELECT 't' || number, 'SUCCESS', '', '', now() + make_interval(secs => number) FROM generate_series(1, 10000) AS number;
INSERT INTO task_groups (group_id, result, content_type, content_encoding, expires_at)
SELECT 'g' || number, '', '', '', now() + make_interval(secs => number) FROM generate_series(1, 1000) AS number;
INSERT INTO chords (group_id, size, closed_at)
SELECT 'g' || number, 10, CASE WHEN number % 50 > 0 THEN now() END FROM generate_series(1, 1000) AS number;
INSERT INTO chord_parts (group_id, task_id, position, state, content_type, content_encoding)
SELECT 'g' || number % 1000, 't' || number, number / 1000, 'SUCCESS', '', '' FROM generate_series(1, 10000) AS number;
INSERT INTO schedules (namespace, name, workflow, input_digest, options, cron, time_zone, anchor_at, catch_up, overlap)
SELECT 'default', 's' || number, 'w', '', '{}', '@daily', 'UTC', now(), 'all', 'allow'
  FROM generate_series(1, 1000) AS number;
INSERT INTO occurrences (schedule_id, occurs_at, until, skipped)
SELECT number % 100 + 1, moment, moment, 'late'
  FROM generate_series(1, 10000) AS number, LATERAL (SELECT now() - make_interval(mins => number) AS moment) AS at;
INSERT INTO timers (kind, due_at, run_id)
SELECT 'reminder', now() + make_interval(secs => number), md5(number::text)::uuid
  FROM generate_series(1, 10000) AS number;
ANALYZE
"""


@pytest.fixture(scope="module")
def history(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection, set up as the pool's, to a database with 10,000 runs of which 50 are not finished."""
    with new_database(postgres_url) as url:
        migration.upgrade(url)
        database = Database(url, max_connections=1)
        with database.connection() as connection:
            for command in A_HISTORY.split(";\n"):
                connection.execute(command.encode())
            yield connection
        database.close()


def planned(connection: psycopg.Connection[Any], query: str) -> list[tuple[str, str, str]]:
    """Return node type, table and index of each scan in the generic plan of a query with %(named)s values."""
    return [
        (
            node["Node Type"],
            _PARTITION.sub("", node.get("Relation Name", "")),
            _PARTITION.sub("", node.get("Index Name", "")),
        )
        for node in nodes(connection, query)
        if node["Node Type"].endswith("Scan")
    ]


def nodes(connection: psycopg.Connection[Any], query: str) -> list[dict[str, Any]]:
    """Return the nodes of the generic plan of a query with %(named)s values."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", query)))
    for number, name in enumerate(names, 1):
        query = query.replace(f"%({name})s", f"${number}")
    types = f"({', '.join(TYPES.get(name, 'unknown') for name in names)})" if names else ""
    connection.execute(f"PREPARE probe {types} AS {query.replace('%%', '%')}".encode())
    try:
        nothing = f"({', '.join(['NULL'] * len(names))})" if names else ""
        row = connection.execute(f"EXPLAIN (FORMAT JSON) EXECUTE probe {nothing}".encode()).fetchone()
    finally:
        connection.execute("DEALLOCATE probe")
    return list(walk(row[0][0]["Plan"]))


def nodes_met(connection: psycopg.Connection[Any], asked: tuple[str, Any]) -> list[dict[str, Any]]:
    """Return the nodes of a query's plan with what they did."""
    query, values = asked
    row = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}".encode(), values).fetchone()
    return list(walk(row[0][0]["Plan"]))


def walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a plan's nodes."""
    yield node
    for child in node.get("Plans", []):
        yield from walk(child)


def sequential(scans: list[tuple[str, str, str]]) -> set[str]:
    """Return the growing tables that are read from end to end."""
    return {table for node, table, _ in scans if node == "Seq Scan"} & GROWING


@pytest.mark.parametrize("name", sorted(set(STATEMENTS) - UPKEEP))
def test_a_statement_reads_no_growing_table_from_end_to_end(history: psycopg.Connection[Any], name: str) -> None:
    assert not sequential(planned(history, statement(name).decode()))


@pytest.mark.parametrize(
    "name", ["claim_step", "complete_step", "submit_run", "find_repair", "is_current", "find_given_away"]
)
def test_the_hot_path_finds_its_rows_by_primary_key(history: psycopg.Connection[Any], name: str) -> None:
    scans = planned(history, statement(name).decode())

    assert not sequential(scans)
    assert {index for _, _, index in scans if index} <= {"steps_pkey", "runs_pkey", "plan_steps_pkey", "plans_pkey"}


@pytest.mark.parametrize(
    ("children", "follows_child"),
    [each for each in product([0, 1, 2], [None, False, True]) if each != (0, True)],
)
def test_each_form_of_a_completion_finds_its_rows_by_primary_key(
    history: psycopg.Connection[Any], children: int, follows_child: bool | None
) -> None:
    found = nodes(history, completion_statement(children, follows_child).decode())

    assert {node["Index Name"] for node in found if "Index Name" in node} <= {"steps_pkey", "runs_pkey"}
    assert len(found) < len(nodes(history, statement("complete_step").decode()))


@pytest.mark.parametrize("root", [True, False])
def test_each_form_of_a_claim_finds_its_rows_by_primary_key(history: psycopg.Connection[Any], root: bool) -> None:
    found = nodes(history, claim_statement(root=root).decode())

    assert {node["Index Name"] for node in found if "Index Name" in node} <= {"steps_pkey", "runs_pkey"}
    assert len(found) < len(nodes(history, statement("claim_step").decode()))


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("dispatch_ready", "steps_ready_idx"),
        ("rescue_steps", "runs_unfinished_idx"),
        ("resend_steps", "runs_unfinished_idx"),
        ("waiting_queues", "runs_unfinished_idx"),
        ("find_overlooked", "steps_ready_idx"),
        ("youngest_ready", "steps_ready_idx"),
        ("oldest_ready", "steps_ready_idx"),
        ("take_due_timers", "timers_due_idx"),
        ("next_timer", "timers_due_idx"),
        ("list_namespaces", "plans_workflow_version_key"),
        ("find_held", "runs_unfinished_idx"),
        ("find_standstills", "runs_unfinished_idx"),
        ("tell_standstills", "runs_unfinished_idx"),
        ("explain_runs", "runs_pkey"),
        ("explain_steps", "steps_pkey"),
        ("explain_queues", "runs_unfinished_idx"),
        ("explain_events", "events_run_id_id_idx"),
        ("explain_timers", "timers_run_idx"),
        ("find_run_by_key", "runs_idempotency_key"),
        ("lock_unfinished", "steps_pkey"),
        ("lock_steps", "steps_pkey"),
        ("requeue_steps", "steps_pkey"),
        ("restore_steps", "steps_pkey"),
        ("close_dead_letters", "step_dead_letters_pkey"),
        ("count_dead_steps", "step_dead_letters_workflow_idx"),
    ],
)
def test_what_looks_for_work_reads_only_the_index_of_unfinished_work(
    history: psycopg.Connection[Any], name: str, index: str
) -> None:
    assert index in {used for _, _, used in planned(history, statement(name).decode())}


A_RUN = RunId(str(uuid4()))


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (lambda views: views.find_run(A_RUN), "runs_pkey"),
        (lambda views: views.run_state(A_RUN), "runs_pkey"),
        (lambda views: views.plan_of(A_RUN), "runs_pkey"),
        (lambda views: views.steps_of(A_RUN), "steps_pkey"),
        (lambda views: views.count_steps(A_RUN), "steps_pkey"),
        (lambda views: views.results_of(A_RUN, [1]), "steps_pkey"),
        (lambda views: views.events_of(A_RUN), "events_run_id_id_idx"),
    ],
)
def test_each_question_about_runs_is_one_query_by_index(
    history: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[[Any], Any],
    index: str,
) -> None:
    asks_once_by_index(history, monkeypatch, lambda tx: ask(tx.views), index)


A_LETTER = StepDeadLetter(
    run_id=A_RUN,
    position=1,
    step="a",
    workflow="w7",
    version="1",
    namespace="default",
    attempt=1,
    attempts=1,
    error_class="Boom",
    message="no",
    failed_at=datetime.now(UTC),
    state=DeadLetterState.DEAD,
    closed_at=None,
    closed_by=None,
    reason=None,
)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ({}, "step_dead_letters_dead_idx"),
        ({"before": A_LETTER}, "step_dead_letters_dead_idx"),
        ({"error_class": "Boom"}, "step_dead_letters_dead_idx"),
        ({"workflow": "w7"}, "step_dead_letters_workflow_idx"),
        ({"workflow": "w7", "before": A_LETTER, "step": "a"}, "step_dead_letters_workflow_idx"),
        ({"states": list(DeadLetterState)}, "step_dead_letters_newest_idx"),
        ({"run_id": A_RUN}, "step_dead_letters_pkey"),
    ],
)
def test_each_page_of_dead_letters_is_one_query_by_index(
    history: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch, wanted: dict[str, Any], index: str
) -> None:
    which = StepDeadLetterFilter(namespace="default", **wanted)
    asks_once_by_index(history, monkeypatch, lambda tx: tx.step_dead_letters.page(which, 50), index)


A_PLACE = Place(moment=datetime(2026, 1, 31, tzinfo=UTC), run_id=A_RUN)


@pytest.mark.parametrize(
    ("order", "after"), [(RunOrder.NEWEST, None), (RunOrder.OLDEST, A_PLACE)], ids=["first", "oldest later"]
)
@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ({}, "runs_newest_idx"),
        ({"created_after": A_PLACE.moment}, "runs_newest_idx"),
        ({"title": "order"}, "runs_newest_idx"),
        ({"states": ["failed"]}, "runs_phase_newest_idx"),
        ({"states": ["running"]}, "runs_phase_newest_idx"),
        ({"states": ["failed", "paused", "running"]}, "runs_phase_newest_idx"),
        ({"workflow": "w7"}, "runs_workflow_newest_idx"),
        ({"workflow": "w7", "version": "1"}, "runs_plan_newest_idx"),
        ({"tags": ["eu"]}, "run_labels_pkey"),
        ({"metadata": {"a": {"b": [1]}}}, "run_labels_pkey"),
        ({"agent": "smith"}, "run_labels_pkey"),
        ({"initiator": "ada"}, "run_labels_pkey"),
        ({"correlation_id": A_RUN}, "run_labels_pkey"),
        ({"schedule": "s1"}, "run_labels_pkey"),
        ({"idempotency_key": "key17"}, "runs_idempotency_key"),
        ({"finished_after": A_PLACE.moment}, "runs_finished_idx"),
        ({"due_before": A_PLACE.moment}, "runs_due_idx"),
        ({"workflow": "w7", "states": ["failed"], "tags": ["eu", "us"]}, "run_labels_pkey"),
    ],
    ids=lambda each: "+".join(each) if isinstance(each, dict) else None,
)
def test_each_page_of_runs_goes_along_an_index_and_sorts_nothing(
    history: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
    wanted: dict[str, Any],
    index: str,
    order: RunOrder,
    after: Place | None,
) -> None:
    question = RunQuestion(namespace="default", wanted=run_filter(**wanted), order=order, after=after)
    may_sort = {"finished_after", "due_before", "idempotency_key", "correlation_id", "title"}  # few, or a part

    with history.transaction(force_rollback=True):
        history.execute("SET LOCAL enable_bitmapscan = off")  # as Store.in_order does
        asked = questions(history, monkeypatch, lambda tx: RunSearch(tx.connection).page(question, 50))
        found = [node for query, _ in asked for node in nodes(history, re.sub(UNTYPED, "", query))]

    assert len(asked) <= 3
    assert index in {node.get("Index Name") for node in found}
    assert not {node.get("Relation Name") for node in found if node["Node Type"] == "Seq Scan"} & GROWING
    assert wanted.keys() & may_sort or not [node for node in found if node["Node Type"] == "Sort"]


LONG_BEFORE, LONG_AFTER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2090, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (RunOrder.NEWEST, {"created_before": LONG_AFTER}),
        (RunOrder.NEWEST, {"finished_before": LONG_AFTER, "finished_after": LONG_BEFORE}),
        (RunOrder.OLDEST, {"created_after": LONG_BEFORE}),
    ],
    ids=lambda each: "+".join(each) if isinstance(each, dict) else str(each),
)
@pytest.mark.parametrize("wanted", [{}, {"states": ["succeeded"]}, {"agent": "agent7"}], ids=["all", "state", "label"])
def test_a_page_begins_at_its_place_not_at_the_moment_that_the_list_begins_with(
    history: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
    order: RunOrder,
    said: dict[str, Any],
    wanted: dict[str, Any],
) -> None:
    last = "DESC" if order is RunOrder.OLDEST else "ASC"
    far = history.execute(f"SELECT created_at, id FROM runs ORDER BY created_at {last} OFFSET 20 LIMIT 1").fetchone()
    question = RunQuestion(
        namespace="default",
        wanted=run_filter(**said, **wanted),
        order=order,
        after=Place(moment=far[0], run_id=RunId(str(far[1]))),
    )

    asked = questions(history, monkeypatch, lambda tx: RunSearch(tx.connection).page(question, 5))
    walked = [node for each in asked for node in nodes_met(history, each) if "created_at" in node.get("Index Cond", "")]

    assert walked
    assert sum(node["Shared Hit Blocks"] + node["Shared Read Blocks"] for node in walked) < 40, "of some 10,000 runs"


UNTYPED = r"::(UUID|VARCHAR|INTEGER|JSONB|TIMESTAMP WITH TIME ZONE)"


def asks_once_by_index(
    history: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
    ask: Callable[[Transaction], Any],
    index: str,
) -> None:
    ((query, _),) = questions(history, monkeypatch, ask)
    scans = planned(history, re.sub(UNTYPED, "", query))

    assert index in {used for _, _, used in scans}
    assert not sequential(scans)


def questions(
    history: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch, ask: Callable[[Transaction], Any]
) -> list[tuple[str, Any]]:
    """Return what is asked of the database, and with which values."""
    asked: list[tuple[str, Any]] = []
    original = psycopg.Cursor.execute

    def execute(self: Any, query: Any, values: Any = None, **options: Any) -> Any:
        if self.connection is history:  # not a coordinator of other tests
            asked.append((query.decode(), values))
        return original(self, query, values, **options)

    with monkeypatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", execute)
        ask(Transaction(history))
    return asked
