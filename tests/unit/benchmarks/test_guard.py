"""The guard speaks up where a bound is broken, and the soak where memory grows."""

import json
import sys
from dataclasses import replace

from benchmarks.counts import Counts
from benchmarks.guard import COUNTS, RATIOS, broken_counts, broken_ratios
from benchmarks.sampling import letter_of
from benchmarks.session import WORKLOADS
from benchmarks.sides import Timing
from benchmarks.soak.load import STEPS, WORKFLOWS
from benchmarks.soak.soak import Grown

WITHIN = Counts(
    shape="chain of 100",
    steps=104,
    statements=1.04,
    fsyncs=1.03,
    wal_bytes=2_034,
    messages=0.02,
    broker_commands=0.2,
    by_statement={},
    by_command={},
)


def timing(seconds: float) -> Timing:
    return Timing(submitted=0.0, finished=seconds, cpu={})


def test_a_count_within_its_bound_is_let_by_and_one_above_it_named() -> None:
    assert not list(broken_counts([WITHIN]))
    assert list(broken_counts([replace(WITHIN, messages=1.0)])) == [
        "chain of 100: 1.00 messages a step, at most 0.1",
    ]
    assert all(hasattr(WITHIN, name) for bounds in COUNTS.values() for name in bounds)


def test_a_ratio_below_its_bound_is_named_unless_another_bound_was_given() -> None:
    rounds = [{"celery": timing(2.0), "engine": timing(engine)} for engine in (1.0, 1.6, 2.0)]

    (told,) = broken_ratios("chain", rounds)
    assert told.startswith("chain, engine: 1.25 times as fast")
    assert not list(broken_ratios("chain", rounds, {"chain": 1.2}))
    assert RATIOS.keys() == WORKLOADS.keys()


def test_growth_of_a_process_of_ours_counts_and_caches_of_servers_do_not() -> None:
    assert not Grown(process="relay", first=80_000, last=95_000).is_too_much
    assert Grown(process="relay", first=80_000, last=97_000).is_too_much
    assert not Grown(process="postgres", first=80_000, last=970_000).is_too_much


def test_the_shares_of_the_soak_make_a_whole() -> None:
    assert round(sum(STEPS.values()), 9) == 1
    assert STEPS.keys() == WORKFLOWS.keys()


def test_time_is_charged_to_the_innermost_function_that_has_a_name() -> None:
    found: list[str] = []

    def note(value: object) -> str:
        found.append(letter_of(sys._getframe(1)))
        return str(value)

    json.dumps(object(), default=note)

    assert found == ["j"]
