"""How long a page of runs takes where there are a million, by filter and by how far into the list it is."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from statistics import quantiles
from time import perf_counter
from typing import Any, Final

import psycopg

from workflow_engine.client.run_lists import RunLists
from workflow_engine.ids import new_run_id
from workflow_engine.model.pages import Place, as_cursor
from workflow_engine.model.run_filter import RunOrder, run_filter
from workflow_engine.store.database import Database
from workflow_engine.store.transaction import Store

RUNS: Final = 1_000_000
DAYS: Final = 90
PAGE: Final = 50
NAMESPACE: Final = "default"
_NOW: Final = datetime.now(UTC)
_FILL: Final = """
SET session_replication_role = replica;
INSERT INTO plans (namespace, workflow, version, digest, definition)
SELECT CASE WHEN number % 20 = 0 THEN 'tenant' ELSE 'default' END, 'flow_' || number / 3, (number % 3)::text, '', '{{}}'
  FROM generate_series(0, 59) AS number;
INSERT INTO schedules (namespace, name, workflow, input_digest, options, cron, time_zone, anchor_at, catch_up, overlap)
SELECT 'default', 'schedule_' || number, 'flow_1', '', '{{}}', '@daily', 'UTC', now(), 'all', 'allow'
  FROM generate_series(1, 20) AS number;
INSERT INTO runs (id, plan_id, namespace, workflow, version, state, input, input_digest, idempotency_key,
                  correlation_id, priority, title, tags, metadata, agent, initiator, schedule_id, sinks_left,
                  created_at, due_at, started_at, finished_at)
SELECT given.id, plans.id, plans.namespace, plans.workflow, plans.version, state, '{{"order_id": 17}}', '',
       CASE WHEN number % 3 = 0 THEN 'key-' || number END,
       CASE WHEN number % 10 = 0 THEN 'correlation-' || number / 40 ELSE given.id::text END,
       CASE WHEN number % 7 = 0 THEN 2 END, CASE WHEN number % 5 = 0 THEN 'Order ' || number END,
       CASE WHEN number % 100000 = 7 THEN '{{rare}}'::text[]
            WHEN number < {runs} / 5 THEN '{{legacy,eu}}'
            WHEN number % 3 = 0 THEN '{{eu}}' WHEN number % 10 = 1 THEN '{{vip}}' ELSE '{{}}' END,
       CASE WHEN number % 4 < 2
            THEN jsonb_build_object('customer', number % 5000,
                                    'region', jsonb_build_object('name', (ARRAY['eu', 'us'])[number % 2 + 1]))
            ELSE '{{}}' END,
       CASE WHEN number % 10 = 2 THEN 'agent-' || number % 500 END,
       CASE WHEN number % 2 = 0 THEN 'user-' || number % 400 END,
       CASE WHEN number % 20 = 3 THEN number % 21 END,
       CASE WHEN final THEN 0 ELSE 1 END, given.created_at,
       CASE WHEN number % 20 = 4 THEN given.created_at + interval '1 day' END, given.created_at,
       CASE WHEN final THEN given.created_at + make_interval(secs => random() * 60) END
  FROM (SELECT number, gen_random_uuid() AS id,
               now() - make_interval(secs => ({runs} - number) * {days} * 86400.0 / {runs}) AS created_at,
               CASE WHEN number > {runs} - 2000 THEN CASE WHEN number % 20 = 0 THEN 'running' ELSE 'pending' END
                    WHEN number % 50000 = 11 THEN 'paused' WHEN number % 50 = 1 THEN 'failed'
                    WHEN number % 200 = 2 THEN 'cancelled' WHEN number % 1000 = 3 THEN 'expired'
                    ELSE 'succeeded' END AS state,
               number <= {runs} - 2000 AND number % 50000 <> 11 AS final,
               1 + floor(60 * power(random(), 3))::integer AS plan
          FROM generate_series(1, {runs}) AS number) AS given
  JOIN (SELECT *, row_number() OVER (ORDER BY id) AS place FROM plans) AS plans ON plans.place = given.plan;
SET session_replication_role = DEFAULT;
INSERT INTO run_labels (label, created_at, run_id)
SELECT label, runs.created_at, runs.id FROM runs, wfe_labels_of(runs) AS label ON CONFLICT DO NOTHING;
VACUUM ANALYZE
"""
FILTERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "nothing": {},
    "state, common": {"states": ["succeeded"]},
    "state, few": {"states": ["expired"]},
    "state, a handful": {"states": ["paused"]},
    "state, what runs": {"states": ["running"]},
    "states, several": {"states": ["failed", "cancelled", "running"]},
    "workflow, common": {"workflow": "flow_0"},
    "workflow and version": {"workflow": "flow_19", "version": "2"},
    "workflow, none": {"workflow": "no such flow"},
    "tag, common": {"tags": ["eu"]},
    "tag, only long ago": {"tags": ["legacy"]},
    "tag, a handful": {"tags": ["rare"]},
    "tag, none": {"tags": ["no such tag"]},
    "tags, two": {"tags": ["legacy", "eu"]},
    "tags, two that never meet": {"tags": ["vip", "eu"]},
    "metadata, few": {"metadata": {"customer": 4712}},
    "metadata, a quarter": {"metadata": {"region": {"name": "eu"}}},
    "metadata, none": {"metadata": {"customer": -1}},
    "agent": {"agent": "agent-42"},
    "initiator": {"initiator": "user-42"},
    "correlation id": {"correlation_id": "correlation-4711"},
    "idempotency key": {"idempotency_key": "key-300"},
    "schedule": {"schedule": "schedule_3"},
    "title": {"title": "order 99"},
    "title, none": {"title": "no such title"},
    "created, a day long ago": {
        "created_after": _NOW - timedelta(days=60),
        "created_before": _NOW - timedelta(days=59),
    },
    "finished, a day long ago": {
        "finished_after": _NOW - timedelta(days=60),
        "finished_before": _NOW - timedelta(days=59),
    },
    "finished, in a second": {
        "finished_after": _NOW - timedelta(days=60, seconds=1),
        "finished_before": _NOW - timedelta(days=60),
    },
    "due long ago": {"due_before": _NOW - timedelta(days=80)},
    "workflow, state": {"workflow": "flow_0", "states": ["failed"]},
    "workflow, tag, metadata": {"workflow": "flow_1", "tags": ["eu"], "metadata": {"customer": 99}},
    "state, agent": {"states": ["failed"], "agent": "agent-42"},
    "three that never meet": {"metadata": {"region": {"name": "us"}}, "states": ["expired"], "tags": ["vip"]},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PageTimes:
    """Milliseconds that pages of one filter take, of pages all over the list."""

    question: str
    number: int
    p50: float
    p99: float
    longest: float
    statements: int
    """The most that a page took."""
    items: int
    """On all of these pages."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def page_times(database_url: str, *, runs: int = RUNS, pages: int = 200) -> Iterator[PageTimes]:
    """Fill the database with runs and yield how long pages take, for each filter."""
    fill(database_url, runs)
    database = Database(database_url, max_connections=1)
    try:
        lists = RunLists(Store(database), namespace=NAMESPACE)
        for name, wanted in FILTERS.items():
            yield _times(name, wanted, lists, pages)
    finally:
        database.close()


def fill(database_url: str, runs: int) -> None:
    """Store runs of 90 days: of some workflows many, of others few; most have succeeded."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for command in _FILL.format(runs=runs, days=DAYS).split(";\n"):
            connection.execute(command.encode())


def _times(name: str, wanted: Mapping[str, Any], lists: RunLists, pages: int) -> PageTimes:
    taken: list[float] = []
    most = items = 0
    for cursor in (*[None] * 10, *_cursors(wanted, pages)):
        with _counted() as statements:
            begin = perf_counter()
            page = lists.page(limit=PAGE, cursor=cursor, **wanted)
            taken.append(1_000 * (perf_counter() - begin))
        most, items = max(most, len(statements)), items + len(page.items)
    measured = taken[5:]  # the first prepare the statements
    return PageTimes(
        question=name,
        number=len(measured),
        p50=quantiles(measured, n=100)[49],
        p99=quantiles(measured, n=100)[98],
        longest=max(measured),
        statements=most,
        items=items,
    )


def _cursors(wanted: Mapping[str, Any], pages: int) -> Iterator[str]:
    """Yield cursors that lead all over the list."""
    question = run_filter(**wanted).question(NAMESPACE, RunOrder.NEWEST)
    for number in range(pages):
        moment = _NOW - timedelta(days=DAYS) * (number * 37 % pages) / pages
        yield as_cursor(Place(moment=moment, run_id=new_run_id()), question)


@contextmanager
def _counted() -> Iterator[list[object]]:
    sent: list[object] = []
    original = psycopg.Cursor.execute

    def execute(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        sent.append(query)
        return original(self, query, *args, **options)

    psycopg.Cursor.execute = execute
    try:
        yield sent
    finally:
        psycopg.Cursor.execute = original
