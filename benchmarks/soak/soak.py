"""The soak: calibrate, load, look, and tell what became of it."""

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import quantiles
from threading import Event as Flag
from time import monotonic, time
from typing import Any, Final

import psycopg

from benchmarks.cpu import Meter, difference
from benchmarks.notes import read_statements
from benchmarks.servers import Servers
from benchmarks.soak import flows, proof
from benchmarks.soak.latency import Latency, latencies
from benchmarks.soak.load import Listener, Load, Reader
from benchmarks.soak.samples import Sample, Sampler, growth
from benchmarks.soak.site import QUEUE, Site, started_site

EVERY: Final = 10.0
"""Seconds between two samples."""
SHARE: Final = 0.5
"""Of what the machine can do."""
MAY_GROW_SHARE, MAY_GROW_KILOBYTES = 0.10, 8 * 1_024
"""What a process of ours has for itself may grow by so much of it and so many kilobytes, first third to last."""
RESULTS: Final = Path(__file__).parents[1] / "results" / "soak.json"
_SERVERS: Final = ("postgres", "valkey")
"""Whose memory is told and not judged: caches fill."""
_CALIBRATION: Final = ((flows.diamond, 200), (flows.chain, 20), (flows.fan, 6))
_CALIBRATED: Final = 10.0
"""Seconds that it takes to find out what the machine can do, if it is as fast then as it is at first."""
_MOST_TIMES: Final = 20.0
_PATIENCE: Final = 180.0


class SoakStuck(Exception):
    """What was submitted does not come to an end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """What one process has for itself, in kilobytes."""

    process: str
    first: float
    last: float

    @property
    def is_too_much(self) -> bool:
        """Whether it grew more than it may."""
        return self.process not in _SERVERS and self.last > self.first * (1 + MAY_GROW_SHARE) + MAY_GROW_KILOBYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Soaked:
    """What a soak saw."""

    minutes: float
    capacity: float
    """Steps a second that the machine could do just before."""
    pace: float
    """Steps a second that were asked for."""
    others: float
    """The share of the machine that other programs took."""
    runs: int
    submitted: Mapping[str, int]
    asked: Mapping[str, int]
    growths: Sequence[Grown]
    latencies: Sequence[Latency]
    api: Mapping[str, float]
    heard: Mapping[str, int]
    statements: Mapping[str, float]
    """Of the coordinator, a minute, in the first third of the time and in the last: by name."""
    samples: Sequence[Sample]
    problems: Sequence[str]

    @property
    def faults(self) -> list[str]:
        """Why it was not good; none, it should be."""
        grown = [
            f"{each.process} grew by {each.last - each.first:,.0f} KB" for each in self.growths if each.is_too_much
        ]
        return [*grown, *self.problems]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**asdict(self), "faults": self.faults}


def soak(servers: Servers, minutes: float, *, every: float = EVERY, calibrating: float = 1.0) -> Soaked:
    """Load a site for so long, and prove afterwards that nothing was lost.

    What the machine can do is found out with as many runs times ``calibrating``.
    """
    with ExitStack() as stack:
        site = stack.enter_context(started_site(servers))
        url = servers.configuration.database_url
        roots = {**site.ids, **servers.processes}
        sampler = Sampler(roots, url, servers.configuration.broker_url, QUEUE)
        stack.callback(sampler.close)
        calibrated: Counter[str] = Counter()
        first = _capacity(site, sampler, calibrated, calibrating)  # everything is read and connected to
        capacity = _capacity(site, sampler, calibrated, calibrating * _longer(first))
        meter = Meter(roots)
        sampler.begin()
        used, began, at = meter.read(), datetime.now(UTC), time()
        load = Load(site.client, capacity * SHARE)
        reader, listener = Reader(site.url, _some_run(url)), Listener("127.0.0.1", site.port)
        for thread in (listener, load, reader):
            thread.start()
        samples = list(_look(sampler, site, load, minutes * 60, every))
        ended, until = datetime.now(UTC), time()
        others = difference(meter.read(), used).get("others", 0.0) / ((until - at) * (os.cpu_count() or 1))
        load.stop()
        if load.error is not None:
            raise load.error
        _wait_for_the_end(sampler, site)
        reader.stop()
        heard = _heard(url, listener)
        runs, problems = proof.find_problems(url, load.submitted + calibrated)
        problems += [f"{name} ended by itself" for name in site.dead()]
        problems += [f"reading the API: {error}, {number} times" for error, number in reader.errors.items()]
        if heard["missing"]:
            problems.append(f"{heard['missing']} events never came to the client of the stream")
        return Soaked(
            minutes=minutes,
            capacity=capacity,
            pace=capacity * SHARE,
            others=max(0.0, others),
            runs=runs,
            submitted=dict(load.submitted),
            asked=dict(load.asked),
            growths=_growths(samples),
            latencies=list(latencies(url, began, ended)),
            api=_answers([took for _, took in reader.seconds]),
            heard=heard,
            statements=_statements(site.statements, at, until),
            samples=samples,
            problems=problems,
        )


def save(soaked: Soaked, path: Path = RESULTS) -> Path:
    """Write what was seen where it may be read later."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(soaked.as_json(), indent=1) + "\n")
    return path


def _longer(steps_a_second: float) -> float:
    """Return how many times as many runs take long enough to say what can go on for long."""
    steps = sum(number * len(workflow.steps) for workflow, number in _CALIBRATION)
    return min(_MOST_TIMES, max(1.0, _CALIBRATED * steps_a_second / steps))


def _capacity(site: Site, sampler: Sampler, submitted: Counter[str], times: float) -> float:
    """Return the steps a second that the site can do when there is enough to do, and deliver the events of."""
    began, steps = monotonic(), 0
    for workflow, many in _CALIBRATION:
        number = max(1, round(many * times))
        site.client.submit_many(workflow, range(number))
        steps += number * len(workflow.steps)
        submitted[workflow.name.removeprefix("soak_")] += number
    while left := sampler.unfinished_runs() or sampler.take().undelivered_events:
        if site.dead() or monotonic() - began > _PATIENCE:
            raise SoakStuck(f"{left} runs, or events, are not done with; ended by themselves: {site.dead() or 'none'}")
        Flag().wait(0.02)
    return steps / (monotonic() - began)


def _look(sampler: Sampler, site: Site, load: Load, seconds: float, every: float) -> Any:
    began, number = monotonic(), 0
    while (left := seconds - (monotonic() - began)) > 0 and not site.dead() and load.error is None:
        number += 1
        Flag().wait(max(0.0, min(left, began + number * every - monotonic())))
        yield sampler.take()


def _wait_for_the_end(sampler: Sampler, site: Site) -> None:
    """Come back when nothing waits any more, or when a process of the site has ended.

    Raises:
        SoakStuck: it becomes no less for a while.
    """
    least, deadline = None, monotonic() + _PATIENCE
    while not site.dead():
        sample = sampler.take()
        waiting = sample.unfinished_runs + sample.undelivered_events + sample.in_queue
        if not waiting:
            return
        if least is None or waiting < least:
            least, deadline = waiting, monotonic() + _PATIENCE
        if monotonic() > deadline:
            raise SoakStuck(
                f"{sample.unfinished_runs} runs, {sample.in_queue} messages and {sample.undelivered_events} events wait"
            )
        Flag().wait(0.5)


def _some_run(database_url: str) -> Callable[[], str | None]:
    connection, random = psycopg.connect(database_url, autocommit=True), Random(1)

    def some() -> str | None:
        query = "SELECT id::text FROM runs ORDER BY created_at DESC OFFSET %s LIMIT 1"
        with suppress(psycopg.OperationalError):  # the servers go away where the soak is broken off
            row = connection.execute(query, [random.randrange(200)]).fetchone()
            return None if row is None else str(row[0])
        return None

    return some


def _heard(database_url: str, listener: Listener) -> dict[str, int]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        query = "SELECT count(*) FROM events WHERE id >= %s"
        deadline = monotonic() + 10
        while True:
            row = connection.execute(query, [listener.first]).fetchone()
            written = 0 if row is None else int(row[0])
            if listener.events >= written or monotonic() > deadline:
                break
            Flag().wait(0.2)
    listener.stop()
    missing, again = max(0, written - listener.events), listener.reconnected
    return {"written": written, "heard": listener.events, "missing": missing, "reconnected": again}


def _growths(samples: Sequence[Sample]) -> list[Grown]:
    names = [
        name
        for name in samples[-1].memory
        if any(name in sample.memory for sample in samples[: len(samples) // 3 or 1])
    ]
    return [Grown(process=name, first=first, last=last) for name in names for first, last in [growth(samples, name)]]


def _answers(seconds: Sequence[float]) -> dict[str, float]:
    cuts = [1_000 * each for each in quantiles(seconds, n=100)] if len(seconds) > 1 else [0.0] * 99
    return {"requests": len(seconds), "p50": cuts[49], "p99": cuts[98], "longest": 1_000 * max(seconds, default=0.0)}


def _statements(file: Path, began: float, ended: float) -> dict[str, float]:
    noted, third = read_statements(file), (ended - began) / 3
    first = sum(began <= at < began + third for at, _ in noted)
    last = sum(ended - third <= at < ended for at, _ in noted)
    by_name = Counter(name for at, name in noted if began <= at <= ended)
    minutes = (ended - began) / 60
    return {
        "first third": 3 * first / minutes,
        "last third": 3 * last / minutes,
        **{name: number / minutes for name, number in by_name.most_common(12)},
    }
