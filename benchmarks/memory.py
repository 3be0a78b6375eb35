"""What the processes weigh while steps flow: a worker's, a coordinator and a relay."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

from benchmarks.process_memory import children_of, memory_of
from benchmarks.servers import Servers
from benchmarks.shaped import shaped
from benchmarks.workers import python_path
from benchmarks.workflows import diamond

STEPS: Final = 100_000
_WARM_UP: Final = 1_000
"""Diamonds before the first look: by then everything is imported, and every buffer has its size."""

_LOOKS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """Megabytes of one process."""

    resident: float
    own: float
    """What it shares with no other process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What the processes weigh after so many steps."""

    steps: int
    weights: Mapping[str, Weight]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def looks(servers: Servers, steps: int = STEPS) -> Iterator[Look]:
    """Run diamonds of steps that do nothing on one worker, beside a coordinator and a relay, and look now and then."""
    with ExitStack() as stack:
        others = {name: stack.enter_context(_process(name, servers)) for name in ("coordinator", "relay")}
        ours = stack.enter_context(shaped(servers, []))
        ours.run(diamond(), 4, _WARM_UP)
        pool = {f"pool {number}": pid for number, pid in enumerate(children_of(ours.worker.pid), 1)}
        pids = {"worker": ours.worker.pid, **pool, **others}
        each = max(steps // _LOOKS // 4, 1)
        yield Look(steps=0, weights=_weigh(pids))
        for number in range(1, max(steps // 4 // each, 1) + 1):
            ours.run(diamond(), 4, each)
            yield Look(steps=number * each * 4, weights=_weigh(pids))


def _weigh(pids: Mapping[str, int]) -> dict[str, Weight]:
    found = {name: memory_of(pid) for name, pid in pids.items()}
    return {
        name: Weight(resident=memory.resident / 1024, own=memory.own / 1024) for name, memory in found.items() if memory
    }


@contextmanager
def _process(name: str, servers: Servers) -> Iterator[int]:
    """Run the coordinator or the relay as it is deployed."""
    configuration = servers.configuration
    variables = {
        "WFE_DATABASE_URL": configuration.database_url,
        "WFE_BROKER_URL": configuration.broker_url,
        "WFE_QUEUE": configuration.queue,
        "PYTHONPATH": python_path(),
    }
    with (servers.folder / f"{name}.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", f"workers.{name}"],
            cwd=servers.folder,
            env={**os.environ, **variables},
            stdout=log,
            stderr=log,
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(15)
