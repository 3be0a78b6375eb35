"""A benchmark session: both workers, started fresh and warmed up, and the measurements on them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Any, Final

from benchmarks.configuration import CANVAS_QUEUE, ENGINE_QUEUE
from benchmarks.cpu import QUIET, Meter, wait_for_quiet
from benchmarks.servers import Servers
from benchmarks.sides import CanvasSide, EngineSide, Side, Timing, Work
from benchmarks.trace import StepsMissing
from benchmarks.workers import Worker
from benchmarks.workflows import UNSERVED, diamond

CHAIN, DIAMONDS, WIDE, SUBMITS, LARGE = 100, 500, 1_000, 500, 10_000

Round = Mapping[str, Timing]
"""One round: a timing for each contestant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A shape, and how each contestant prepares it."""

    title: str
    steps: int
    contestants: Mapping[str, Callable[["Session"], tuple[Side, Work]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """One very wide run, and what the worker's processes weighed before and after it, in kilobytes."""

    timing: Timing
    before: Mapping[str, int]
    after: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"timing": self.timing.as_json(), "before": dict(self.before), "after": dict(self.after)}


@contextmanager
def started_session(servers: Servers) -> Iterator["Session"]:
    """Lend a session whose workers run and are warm."""
    with ExitStack() as stack:
        configuration, folder = servers.configuration, servers.folder
        workers = [
            stack.enter_context(Worker(module, queue, configuration, folder))
            for module, queue in (("engine_worker", ENGINE_QUEUE), ("canvas_worker", CANVAS_QUEUE))
        ]
        meters = [Meter({**servers.processes, "worker": worker.pid}) for worker in workers]
        engine = EngineSide(configuration, workers[0].trace, meters[0])
        stack.callback(engine.close)
        canvas = CanvasSide(configuration, workers[1].trace, meters[1])
        stack.callback(canvas.close)
        session = Session(engine, canvas, workers[0])
        try:
            session.warm_up()
            yield session
        except StepsMissing as error:
            for worker in workers:
                error.add_note(f"{worker.log.name} ends with:\n{worker.log.read_text()[-2_000:]}")
            raise


class Session:
    """Measures the two sides, one after the other and never at the same time."""

    def __init__(self, engine: EngineSide, canvas: CanvasSide, engine_worker: Worker) -> None:
        """Measure running workers."""
        self.engine = engine
        self.canvas = canvas
        self._engine_worker = engine_worker

    def warm_up(self) -> None:
        """Let every pool process of both workers run steps of every shape, and every plan be registered."""
        for side in (self.engine, self.canvas):
            for _ in range(2):
                side.run(side.diamonds(50))
                side.run(side.wide(20))
            side.run(side.chain(CHAIN))
            side.run(side.wide(WIDE))

    def rounds(self, workload: Workload, number: int, patience: float) -> Iterator[Round]:
        """Run a workload so many times on each contestant, and yield each round; who goes first alternates.

        For ``patience`` seconds in all it waits for a quiet machine, and repeats what was disturbed.
        """
        deadline = monotonic() + patience
        for index in range(number):
            yield self._round(workload, index, deadline)

    def _round(self, workload: Workload, index: int, deadline: float) -> Round:
        names = list(workload.contestants)
        order = names if index % 2 == 0 else names[::-1]
        timings = {name: self._undisturbed(workload.contestants[name], deadline) for name in order}
        return {name: timings[name] for name in names}

    def _undisturbed(self, prepare: Callable[["Session"], tuple[Side, Work]], deadline: float) -> Timing:
        while True:
            wait_for_quiet(deadline)
            side, work = prepare(self)
            timing = side.run(work)
            if timing.others <= QUIET or monotonic() >= deadline:
                return timing

    def submit_round(self, number: int) -> dict[str, float]:
        """Return submissions a second of diamonds to a queue that nobody reads, for each way of submitting."""
        client = self.engine.client
        canvases = [self.canvas.canvas.diamond(run) for run in range(SUBMITS)]
        ways: dict[str, Callable[[], object]] = {
            "celery": lambda: [canvas.apply_async(queue=UNSERVED) for canvas in canvases],
            "engine": lambda: [client.submit(diamond(UNSERVED), run) for run in range(SUBMITS)],
            "engine, submit_many": lambda: client.submit_many(diamond(UNSERVED), range(SUBMITS)),
        }
        client.register(diamond(UNSERVED))
        names: Sequence[str] = list(ways)
        return {name: _rate(ways[name]) for name in (names if number % 2 == 0 else names[::-1])}

    def grow(self) -> Growth:
        """Run one run of 10,000 steps beside each other on our side."""
        before = self._engine_worker.memory()
        timing = self.engine.run(self.engine.wide(LARGE), timeout=150)
        return Growth(timing=timing, before=before, after=self._engine_worker.memory())


WORKLOADS: Final[Mapping[str, Workload]] = {
    "chain": Workload(
        title=f"chain of {CHAIN}",
        steps=CHAIN,
        contestants={
            "celery": lambda session: (session.canvas, session.canvas.chain(CHAIN)),
            "engine": lambda session: (session.engine, session.engine.chain(CHAIN)),
        },
    ),
    "diamonds": Workload(
        title=f"{DIAMONDS} diamonds",
        steps=DIAMONDS * 4,
        contestants={
            "celery": lambda session: (session.canvas, session.canvas.diamonds(DIAMONDS)),
            "engine": lambda session: (session.engine, session.engine.diamonds(DIAMONDS)),
            "engine, submit_many": lambda session: (session.engine, session.engine.diamonds_at_once(DIAMONDS)),
        },
    ),
    "wide": Workload(
        title=f"1 -> {WIDE} -> 1",
        steps=WIDE + 2,
        contestants={
            "celery": lambda session: (session.canvas, session.canvas.wide(WIDE)),
            "engine": lambda session: (session.engine, session.engine.wide(WIDE)),
        },
    ),
}


def _rate(action: Callable[[], object]) -> float:
    begin = perf_counter()
    action()
    return SUBMITS / (perf_counter() - begin)
