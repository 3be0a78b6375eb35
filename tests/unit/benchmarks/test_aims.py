"""Which aims a measurement of scale misses."""

import pytest

from benchmarks import aims


def look(worker: float, pool: float, relay: float) -> dict[str, object]:
    return {"weights": {"worker": {"own": worker}, "pool 1": {"own": pool}, "relay": {"own": relay}}}


@pytest.mark.parametrize(("larger", "missed"), [(10.4, 0), (10.6, 1)])
def test_a_join_may_take_somewhat_more_than_its_share(larger: float, missed: int) -> None:
    figures = [{"size": 1_000, "taken": 1.0}, {"size": 10_000, "taken": larger}]

    assert len(aims.missed("joins", figures)) == missed
    assert aims.missed("joins", figures[:1]) == []


def test_only_a_workers_processes_may_not_grow() -> None:
    figures = [look(20.0, 50.0, 90.0), look(24.9, 55.0, 120.0)]

    assert aims.missed("memory", figures) == ["pool 1 grew by 5.0 MB, not by less than 5"]


def test_full_tables_are_judged_by_medians() -> None:
    rounds = [{"workload": "chain", "empty": 1.0, "full": full} for full in (1.0, 1.2, 9.0)]

    assert aims.missed("full_1000", [{"rows": {}, "seconds": 1.0}, *rounds]) == [
        "chain: 1.20 times as long on full tables, more than 1.1"
    ]


def test_a_layered_graph_is_held_against_its_list_schedule() -> None:
    assert aims.missed("layered", [{"taken": 5.2, "listed": 5.0}]) == []
    assert len(aims.missed("layered", [{"taken": 5.3, "listed": 5.0}])) == 1


def test_what_has_no_aim_misses_none() -> None:
    assert aims.missed("threads", []) == []
