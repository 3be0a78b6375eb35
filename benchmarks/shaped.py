"""Our side alone, with the workflows and the worker that a measurement asks for."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Final

from benchmarks.configuration import Configuration
from benchmarks.cpu import Meter
from benchmarks.servers import Servers
from benchmarks.shapes import as_variable
from benchmarks.sides import EngineSide, Timing, Work
from benchmarks.trace import StepsMissing
from benchmarks.workers import PROCESSES, Worker
from benchmarks.workflows import diamond
from workflow_engine import Workflow

_WARM_UPS: Final = 2


@dataclass(frozen=True, slots=True)
class Shaped:
    """A worker, and who submits to it."""

    side: EngineSide
    worker: Worker

    def run(self, workflow: Workflow, steps: int, number: int = 1) -> Timing:
        """Submit runs of ``workflow``, which has so many steps, and time them.

        Raises:
            StepsMissing: not everything ran exactly once and succeeded; its note is the end of the worker's log.
        """
        return self.time(self.side.runs(workflow, number, steps))

    def time(self, work: Work) -> Timing:
        """Submit ``work`` and time it; raise as ``run`` does."""
        try:
            return self.side.run(work, timeout=60 + 0.05 * len(work.expected))
        except StepsMissing as error:
            error.add_note(f"{self.worker.log.name} ends with:\n{self.worker.log.read_text()[-2_000:]}")
            raise


@contextmanager
def shaped(
    servers: Servers,
    workflows: Sequence[Workflow],
    *,
    pool: str = "prefork",
    concurrency: int = PROCESSES,
    database_url: str | None = None,
    queue: str | None = None,
) -> Iterator[Shaped]:
    """Lend a worker that has ``workflows`` and diamonds, with every pool process warm."""
    given: Configuration = servers.configuration
    configuration = replace(given, database_url=database_url or given.database_url, queue=queue or given.queue)
    known = [diamond(), *(each for each in workflows if each is not diamond())]
    with ExitStack() as stack:
        worker = stack.enter_context(
            Worker(
                "shaped_worker",
                configuration.queue,
                configuration,
                servers.folder,
                variables=as_variable(known),
                pool=pool,
                concurrency=concurrency,
            )
        )
        side = EngineSide(configuration, worker.trace, Meter({**servers.processes, "worker": worker.pid}), known)
        stack.callback(side.close)
        lent = Shaped(side, worker)
        for _ in range(_WARM_UPS):
            lent.run(diamond(), 4, number=25 * min(concurrency, 4))
        yield lent
