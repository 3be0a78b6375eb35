"""What the doctor makes of what it was told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from workflow_engine.celery_app.broker_facts import BrokerFacts, BrokerKind
from workflow_engine.doctor.broker import on_broker, on_use
from workflow_engine.doctor.finding import Finding, Level
from workflow_engine.doctor.processes import (
    Heard,
    Staff,
    on_clocks,
    on_coordinator,
    on_queues,
    on_relay,
    on_releases,
    on_versions,
    on_workers,
)
from workflow_engine.doctor.server import on_connections, on_schema, on_server
from workflow_engine.doctor.work import on_dead_steps, on_ready, on_subscribers, on_timers
from workflow_engine.model.workers import WorkerRecord
from workflow_engine.store.diagnosis import OverdueTimers, ProcessFacts, ServerFacts, VersionInUse
from workflow_engine.store.gauges import SubscriberBacklog
from workflow_engine.store.migration import SchemaVersion

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SERVER = ServerFacts(
    version="18.1",
    max_connections=100,
    reserved_connections=3,
    connections=7,
    fsync=True,
    full_page_writes=True,
    synchronous_commit=True,
    is_read_only=False,
    oldest_transaction_seconds=None,
    now=NOW,
)
WORKER = WorkerRecord(
    id="1",
    name="w1@host",
    pid=17,
    queues=["celery"],
    pool="prefork",
    concurrency=4,
    started_at=NOW,
    heartbeat_at=NOW,
    silent_seconds=1.0,
    steps_held=0,
    release="1.0",
    workflows=["default/orders/1"],
    clock_ahead=0.01,
)
REDIS = BrokerFacts(
    kind=BrokerKind.REDIS,
    version="8.2",
    memory_limit=0,
    memory_used=1,
    eviction="noeviction",
    keeps_log=True,
    is_writing=True,
    is_replica=False,
    is_cluster=False,
    connections=3,
    connection_limit=10_000,
)
CONF = SimpleNamespace(broker_transport_options={}, worker_send_task_events=True, worker_prefetch_multiplier=1)


def staff(*workers: WorkerRecord) -> Staff:
    return Staff(workers=workers, lease=15.0, heartbeat=3.0)


def levels(found: Any) -> list[tuple[str, str]]:
    return [(each.check, each.level.value) for each in ([found] if isinstance(found, Finding) else found)]


@pytest.mark.parametrize(
    ("change", "check", "level"),
    [
        ({}, "database", "ok"),
        ({"is_read_only": True}, "database", "error"),
        ({"fsync": False}, "durability", "warning"),
        ({"full_page_writes": False}, "durability", "warning"),
        ({"synchronous_commit": False}, "durability", "warning"),
        ({"oldest_transaction_seconds": 301.0}, "transactions", "warning"),
    ],
)
def test_a_server_is_judged_by_how_it_is_set_up(change: dict[str, Any], check: str, level: str) -> None:
    assert (check, level) in levels(on_server(replace(SERVER, **change)))


def test_a_good_server_gets_no_warning() -> None:
    assert {level for _, level in levels(on_server(SERVER))} == {"ok"}


@pytest.mark.parametrize(
    ("current", "level", "word"), [(None, "error", "no tables"), ("0001", "error", "0001"), ("0014", "ok", "0014")]
)
def test_a_schema_is_this_releases_or_wrong(current: str | None, level: str, word: str) -> None:
    found = on_schema(SchemaVersion(current=current, head="0014"))

    assert (found.level, word in found.sentence) == (level, True)


@pytest.mark.parametrize(
    ("change", "workers", "level"),
    [
        ({}, [WORKER], "ok"),
        ({"connections": 80}, [], "warning"),
        ({}, [replace(WORKER, concurrency=90)], "warning"),
        ({}, [replace(WORKER, pool="gevent", concurrency=1_000)], "ok"),
    ],
)
def test_connections_must_do_for_all_workers(change: dict[str, Any], workers: list[WorkerRecord], level: str) -> None:
    assert levels(on_connections(replace(SERVER, **change), workers, 10)) == [("connections", level)]


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"is_replica": True}, ("broker", "error")),
        ({"is_cluster": True}, ("broker", "error")),
        ({"eviction": "allkeys-lru", "memory_limit": 100}, ("eviction", "error")),
        ({"eviction": "allkeys-lru"}, ("eviction", "warning")),
        ({"eviction": "volatile-ttl", "memory_limit": 100}, ("eviction", "warning")),
        ({"memory_limit": 100, "memory_used": 91}, ("eviction", "warning")),
        ({"is_writing": False}, ("persistence", "warning")),
        ({"keeps_log": False}, ("persistence", "ok")),
        ({"connections": 9_000}, ("broker-connections", "warning")),
    ],
)
def test_a_redis_is_judged_by_how_it_is_set_up(change: dict[str, Any], finding: tuple[str, str]) -> None:
    assert finding in levels(on_broker(replace(REDIS, **change)))


def test_a_good_redis_gets_no_warning_and_neither_does_a_rabbitmq() -> None:
    assert {level for _, level in levels(on_broker(REDIS))} == {"ok"}
    assert levels(on_broker(BrokerFacts(kind=BrokerKind.RABBITMQ, version="4.2"))) == [("broker", "ok")]


@pytest.mark.parametrize(
    ("conf", "facts", "running", "checks"),
    [
        ({}, REDIS, 1e6, []),
        ({"broker_transport_options": {"visibility_timeout": 60}}, REDIS, None, ["acknowledgement"]),
        ({}, BrokerFacts(kind=BrokerKind.RABBITMQ), 1_500.0, ["acknowledgement"]),
        ({}, BrokerFacts(kind=BrokerKind.RABBITMQ), 60.0, []),
        ({"worker_send_task_events": False, "worker_prefetch_multiplier": 4}, REDIS, None, ["task-events", "prefetch"]),
    ],
)
def test_the_traps_of_acknowledgement_are_named(
    conf: dict[str, Any], facts: BrokerFacts, running: float | None, checks: list[str]
) -> None:
    found = on_use(SimpleNamespace(**{**vars(CONF), **conf}), facts, running)

    assert levels(found) == [(check, "warning") for check in checks]


@pytest.mark.parametrize(
    ("workers", "waiting", "findings"),
    [
        ([WORKER], 3, [("workers", "ok")]),
        ([], 3, [("workers", "error")]),
        ([], 0, [("workers", "warning")]),
        ([replace(WORKER, silent_seconds=9.0)], 0, [("workers", "ok"), ("heartbeats", "warning")]),
        (
            [replace(WORKER, silent_seconds=60.0, steps_held=2)],
            0,
            [("workers", "warning"), ("heartbeats", "error")],
        ),
        ([WORKER, replace(WORKER, silent_seconds=60.0)], 0, [("workers", "ok"), ("heartbeats", "warning")]),
        ([WORKER, replace(WORKER, silent_seconds=7_200.0)], 0, [("workers", "ok")]),
    ],
)
def test_workers_are_judged_by_their_heartbeats(
    workers: list[WorkerRecord], waiting: int, findings: list[tuple[str, str]]
) -> None:
    assert levels(on_workers(staff(*workers), waiting)) == findings


def test_a_queue_in_which_steps_wait_must_have_a_worker() -> None:
    (found,) = on_queues(staff(WORKER), {"celery": 3, "gpu": 1, "idle": 0})

    assert found.level is Level.ERROR
    assert found.sentence == "1 step in queue 'gpu', which no living worker serves."
    assert found.advice == "Start a worker for it: `wfe worker -Q gpu`."
    assert levels(on_queues(staff(WORKER), {"celery": 3})) == [("queues", "ok")]


def test_a_version_with_unfinished_runs_must_be_on_a_worker_unless_one_does_not_say() -> None:
    in_use = [VersionInUse(namespace="default", workflow="orders", version=each, runs=2) for each in ("1", "2")]

    assert [each.sentence[:46] for each in on_versions(staff(WORKER), in_use)] == [
        "2 unfinished runs of orders 2 (namespace defau"
    ]
    assert levels(on_versions(staff(WORKER), in_use[:1])) == [("versions", "ok")]
    assert levels(on_versions(staff(WORKER, replace(WORKER, workflows=None)), in_use)) == []


def test_a_coordinator_must_lead_and_a_relay_should_deliver() -> None:
    leads = ProcessFacts(name="host:1", release="1.0", clock_ahead=0.0, silent_seconds=1.0)

    lease = timedelta(seconds=3)
    assert [on_coordinator(who, lease).level for who in (leads, replace(leads, silent_seconds=9.0), None)] == [
        "ok",
        "error",
        "error",
    ]
    assert [on_relay(who, 5.0).level for who in ([leads], [replace(leads, silent_seconds=9.0)], [])] == [
        "ok",
        "warning",
        "warning",
    ]


def test_processes_of_other_releases_are_named() -> None:
    processes = [
        Heard(name=f"worker w{n}", release=each, clock_ahead=0) for n, each in enumerate(["1", "2", "2", None])
    ]

    assert [each.sentence for each in on_releases("1", processes)] == [
        "2 processes run release 2, this is 1: worker w1, worker w2.",
        "1 process runs an older release, this is 1: worker w3.",
    ]
    assert levels(on_releases("1", processes[:1])) == [("releases", "ok")]
    assert levels(on_releases("1", [])) == []


def test_wrong_clocks_are_named() -> None:
    processes = [
        Heard(name="worker w1", release="1", clock_ahead=-3_600.0),
        Heard(name="r", release="1", clock_ahead=None),
    ]

    assert [each.sentence.partition(" PostgreSQL's.")[0] for each in on_clocks(90.0, processes)] == [
        "The clock of this host is 1 min 30 s ahead of",
        "The clock of the host of worker w1 is 1 h 00 min behind",
    ]
    assert levels(on_clocks(1.9, [])) == [("clock", "ok")]


def test_work_that_should_have_been_done_is_told_of() -> None:
    assert [on_ready(each).level for each in (0.0, 31.0)] == ["ok", "error"]
    assert [on_timers(OverdueTimers(number=each, seconds=90.0)).level for each in (0, 2)] == ["ok", "error"]
    assert levels(on_dead_steps({("default", "orders"): 3})) == [("dead-letters", "warning")]
    assert levels(on_dead_steps({})) == [("dead-letters", "ok")]


@pytest.mark.parametrize(("lag", "dead", "level"), [(0.0, 0, "ok"), (61.0, 0, "warning"), (0.0, 1, "warning")])
def test_subscribers_that_are_behind_or_failed_are_named(lag: float, dead: int, level: str) -> None:
    found = on_subscribers([SubscriberBacklog(name="audit", lag_events=9, lag_seconds=lag, dead_letters=dead)])

    assert levels(found) == [("deliveries", level)]
