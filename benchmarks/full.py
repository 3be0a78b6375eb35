"""The hot path on empty tables and on tables that hold many finished steps: the same workloads, in turns."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any, Final

from benchmarks.filling import fill, rows
from benchmarks.servers import Servers, own_database
from benchmarks.session import CHAIN, DIAMONDS, WIDE
from benchmarks.shaped import Shaped, shaped
from benchmarks.sides import Work
from benchmarks.workflows import chain, diamond, wide
from workflow_engine.store import migration

ROWS: Final = 1_000_000
EMPTY, FULL = "empty", "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Seconds that a workload took in one round, on empty tables and on full ones."""

    workload: str
    empty: float
    full: float
    others: float
    """The share of the machine that other programs took, the larger of both."""

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What the full tables held before the first round, and how long it took to fill them."""

    rows: Mapping[str, int]
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def comparisons(servers: Servers, rounds: int, steps: int) -> Iterator[Filled | Compared]:
    """Fill one of two databases, say so, and yield each round of each workload; who goes first alternates."""
    with ExitStack() as stack:
        sides = {EMPTY: _lent(stack, servers, EMPTY), FULL: _lent(stack, servers, FULL)}
        begin = perf_counter()
        url = sides[FULL][1]
        fill(url, _finished_run(sides[FULL][0]), steps)
        yield Filled(rows=rows(url), seconds=perf_counter() - begin)
        for ours, _ in sides.values():
            for work in _works(ours).values():  # registers, and lets the worker read the plans
                ours.time(work)
        for number in range(rounds):
            yield from _round([EMPTY, FULL] if number % 2 == 0 else [FULL, EMPTY], sides)


def _round(order: Sequence[str], sides: Mapping[str, tuple[Shaped, str]]) -> Iterator[Compared]:
    for workload in _works(sides[EMPTY][0]):
        timings = {name: sides[name][0].time(_works(sides[name][0])[workload]) for name in order}
        yield Compared(
            workload=workload,
            empty=timings[EMPTY].finished,
            full=timings[FULL].finished,
            others=max(timing.others for timing in timings.values()),
        )


def _works(ours: Shaped) -> dict[str, Work]:
    side = ours.side
    return {
        f"{DIAMONDS} diamonds": side.diamonds(DIAMONDS),
        f"chain of {CHAIN}": side.chain(CHAIN),
        f"1 -> {WIDE:,} -> 1": side.wide(WIDE),
    }


def _lent(stack: ExitStack, servers: Servers, name: str) -> tuple[Shaped, str]:
    url = stack.enter_context(own_database(servers.configuration.database_url, name))
    migration.upgrade(url)
    workflows = [diamond(), chain(CHAIN), wide(WIDE)]
    queue = f"{servers.configuration.queue}-{name}"
    return stack.enter_context(shaped(servers, workflows, database_url=url, queue=queue)), url


def _finished_run(ours: Shaped) -> str:
    """Return the id of a diamond that has succeeded."""
    run = ours.side.client.submit(diamond(), 0)
    run.wait(timeout=30)
    return run.id
