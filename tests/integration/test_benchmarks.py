"""What a step costs, counted on real servers, and a soak in short."""

import pytest

from benchmarks import line
from benchmarks.counts import counts
from benchmarks.guard import broken_counts, is_within_bounds
from benchmarks.servers import session_servers
from benchmarks.soak.soak import soak

pytestmark = [pytest.mark.redis, pytest.mark.prefork, pytest.mark.slow]


@pytest.mark.timeout(600)
def test_a_step_costs_no_more_statements_commits_and_messages_than_agreed() -> None:
    assert not list(broken_counts(counts(is_within_bounds)))


@pytest.mark.timeout(600)
def test_a_process_alone_runs_whole_lines_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "STEPS", 200)
    with session_servers(events=False) as servers:
        found = list(line.line_costs(servers, 1))

    assert [each.shape for each in found] == ["chain of 100", "diamond"]
    assert all(each.clock > each.python > 0 for each in found)


@pytest.mark.timeout(600)
def test_a_short_soak_loses_nothing() -> None:
    with session_servers(events=True) as servers:
        soaked = soak(servers, 0.5, every=2.0, calibrating=0.2)

    assert soaked.runs
    assert not soaked.problems
    assert soaked.heard["missing"] == 0
    assert {each.what for each in soaked.latencies} >= {"completion -> start of the child", "diamond: submit -> done"}
