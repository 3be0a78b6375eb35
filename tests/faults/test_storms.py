"""Faults of every kind, in random order, while many runs of many shapes are in flight: the checker finds nothing.

The long form is ``make faults``; STORM_RUNS, STORM_SEED and STORM_MINUTES say how long, and which storm.
"""

import os
from collections import Counter
from random import randrange
from time import monotonic
from typing import Final

import pytest

from tests.faults.conftest import Tell
from tests.faults.kinds import FAULTS
from tests.faults.site import DOOMED, LATER, MIX, STEADY, Site, SiteMaker
from workflow_engine import RunHandle

RUNS: Final = int(os.environ.get("STORM_RUNS", "1000"))
SEED: Final = int(os.environ.get("STORM_SEED", randrange(1_000_000)))
MINUTES: Final = float(os.environ.get("STORM_MINUTES", "20"))
TROUBLE: Final = ["step.completed", "step.lost", "step.released", "step.retrying", "step.failed", "step.cancelled"]
MOST_AT_A_TIME: Final = 15
"""Runs submitted before the next fault: so each fault finds some in flight, and 1,000 runs see more than a hundred."""


class Storm:
    """One random fault after the other, some at the same time; each kind before any comes again."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.struck: Counter[str] = Counter()
        self._deck: list[str] = []

    def strike(self) -> None:
        """Let a fault happen."""
        if not self._deck:
            self._deck = self.site.random.sample(list(FAULTS), len(FAULTS))
        name = self._deck.pop()
        FAULTS[name](self.site)
        self.struck[name] += 1

    def rage(self, number: int, *, until: float) -> list[RunHandle]:
        """Submit so many runs, some at a time, and let faults disturb them; no more of them after ``until``."""
        site, runs = self.site, list[RunHandle]()
        while len(runs) < number:
            wave = self._submit(min(site.random.randint(1, MOST_AT_A_TIME), number - len(runs)))
            runs += wave
            site.wait_for_progress(wave, calls=site.random.randint(0, 3 * len(wave)))
            if monotonic() < until:
                for _ in range(site.random.choice([1, 1, 1, 2])):
                    self.strike()
        return runs

    def _submit(self, number: int) -> list[RunHandle]:
        """Submit runs of which most succeed, some fail and some are cancelled."""
        kinds = self.site.random.choices([*MIX * 4, *[STEADY] * 8, LATER, LATER, DOOMED], k=number)
        runs = [self.site.submit(expected, 1)[0] for expected in kinds]
        for run in self.site.random.sample(runs, len(runs) // 20):
            self.site.cancel(run)
        return runs


@pytest.mark.slow
@pytest.mark.timeout(MINUTES * 60 + 600)
def test_a_thousand_runs_under_random_faults_all_end(new_site: SiteMaker, tell: Tell) -> None:
    tell(f"storm: {RUNS} runs, STORM_SEED={SEED}, faults for at most {MINUTES:g} minutes")
    began = monotonic()
    with new_site(seed=SEED, outage=10.0) as site:
        storm = Storm(site)
        runs = storm.rage(RUNS, until=began + MINUTES * 60)
        site.finish(runs, within=300)
        number = site.prove()
        told = site.stage.rows(
            "SELECT name, count(*) AS number FROM events WHERE name = ANY(%s) GROUP BY name", TROUBLE
        )
    faults = ", ".join(f"{times} {name}" for name, times in sorted(storm.struck.items()))
    tell(f"{number} runs ended in {monotonic() - began:.0f} s under {storm.struck.total()} faults: {faults}")
    tell("their event log: " + ", ".join(f"{row.number} {row.name}" for row in told))


@pytest.mark.slow
def test_a_flushed_broker_loses_none_of_two_hundred_runs_in_flight(new_site: SiteMaker, tell: Tell) -> None:
    with new_site() as site:
        runs = site.submit_a_mix(50)
        for _ in range(3):
            assert site.wait_for_progress(runs, calls=40)
            FAULTS["flush_the_broker"](site)
        site.finish(runs)
        number = site.prove()
        (row,) = site.stage.rows(
            "SELECT count(*) AS completions, count(DISTINCT (run_id, step)) AS steps FROM events "
            "WHERE name = 'step.completed'"
        )
    tell(
        f"{number} runs ended though the broker was flushed 3 times: {row.completions} completions of {row.steps} steps"
    )
    assert (number, row.completions) == (200, row.steps)
