"""Threads that claim, complete, fail, die, repeat and cancel at once: every run ends, and its history is whole."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from random import Random, randrange
from threading import Event, Lock, Thread
from uuid import uuid4

import pytest

from tests.support.histories import prove_every_run
from tests.support.processes import wait_until
from tests.support.recording import RecordingDispatcher, claim, complete, fail, key, lose
from workflow_engine import Retry, Workflow
from workflow_engine.client.client import WorkflowClient
from workflow_engine.clock import SystemClock
from workflow_engine.definitions.registry import Registry
from workflow_engine.engine.dispatcher import Dispatch, NotDispatched
from workflow_engine.engine.poller import FallbackPoller
from workflow_engine.engine.processor import Processor
from workflow_engine.engine.readiness import ReadinessService
from workflow_engine.engine.rescuer import RescueService
from workflow_engine.engine.resender import ResendService
from workflow_engine.engine.timekeeper import TimekeeperService
from workflow_engine.model.commands import ReleaseSteps, StepAttempt, StopStep
from workflow_engine.model.run import FINAL_RUN_STATES
from workflow_engine.model.timers import TimerKind
from workflow_engine.store.transaction import Store

RUNS = 60
TRIED_AGAIN = Retry(max_attempts=10, base_delay=0.01)
SOON = timedelta(milliseconds=10)


class UnreliableDispatcher(RecordingDispatcher):
    """Loses a message now and then, delivers another twice, and is away for moments."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random
        self._lock = Lock()

    def dispatch(self, steps: object) -> None:
        for number, step in enumerate(steps):  # type: ignore[arg-type, var-annotated]
            chance = self._random.random()
            if chance < 0.02:
                raise NotDispatched(list(steps)[number:], "away")  # type: ignore[call-overload]
            if chance > 0.05:
                self.sent.append(step)
            if chance > 0.9:
                self.sent.append(step)

    def next(self) -> Dispatch | None:
        """Return a message, in no order."""
        with self._lock:
            if not self.sent:
                return None
            self.sent.rotate(self._random.randrange(len(self.sent)))
            return self.sent.popleft()


class Chaos:
    """Worker threads without manners, and coordinators that clean up after them."""

    def __init__(self, store: Store, seed: int) -> None:
        self.random = Random(seed)
        self.dispatcher = UnreliableDispatcher(self.random)
        self.processor = Processor(store, self.dispatcher, loss_limit=2)
        self.client = WorkflowClient(
            store, self.processor, Registry(), SystemClock(), namespace="default", input_limit=1_000
        )
        self.errors: list[BaseException] = []
        self._store = store
        self._stopping = Event()

    @contextmanager
    def unleashed(self) -> Iterator[None]:
        """Run the threads; after the block none is left, and none may have ended in an error."""
        threads = [Thread(target=self._guarded, args=(part,)) for part in [self.work] * 5 + [self.coordinate] * 2]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join(timeout=20)
        assert not self.errors, self.errors[0]

    def _guarded(self, part: Callable[[], None]) -> None:
        try:
            while not self._stopping.is_set():
                part()
        except BaseException as error:
            self.errors.append(error)
            raise

    def work(self) -> None:
        """Take a message and do something with it that a worker, or its death, might do."""
        message = self.dispatcher.next()
        if message is None:
            self._stopping.wait(0.005)
            return
        worker = self._living() if self.random.random() < 0.9 else str(uuid4())
        if self.random.random() < 0.05:
            release = ReleaseSteps(attempts=[StepAttempt(**key(message))], reason="unknown here", retry_in=SOON)
            self.processor.execute(release)
        elif claim(self.processor, message, worker) is not None:
            if self.random.random() < 0.1:
                self._fall_silent(message)
            self.end(message)

    def end(self, message: Dispatch) -> None:
        """End an attempt in one of the ways there are; some of them twice."""
        chance = self.random.random()
        for _ in range(2 if self.random.random() < 0.2 else 1):
            if chance < 0.72:
                complete(self.processor, message, '{"n":1}')
            elif chance < 0.84:
                fail(self.processor, message, retry_in=SOON)
            elif chance < 0.87:
                fail(self.processor, message)
            elif chance < 0.92:
                lose(self.processor, message)
            elif not self.processor.is_current(StepAttempt(**key(message))):
                self.processor.execute(StopStep(**key(message)))
            elif chance < 0.99:
                complete(self.processor, message)
            else:
                self._forget(message)

    def _fall_silent(self, message: Dispatch) -> None:
        """A timer strikes while the attempt ends in some way, or before."""
        with self._store.single() as tx:
            tx.timers.set_attempt(StepAttempt(**key(message)), {TimerKind.HEARTBEAT: self.random.random() / 100})
        self._stopping.wait(self.random.random() / 50)

    def _forget(self, message: Dispatch) -> None:
        """The claim's answer was lost: the worker does not know that it holds the attempt, and says so later."""
        self._stopping.wait(0.02)
        lose(self.processor, message)

    def coordinate(self) -> None:
        """Do what two coordinators do, at any moment."""
        readiness = ReadinessService(self.processor)
        FallbackPoller(self._store, readiness, every=SOON, age=SOON, batch=100).run_once()
        readiness.run_once()
        TimekeeperService(self._store, self.processor).run_once()
        RescueService(self._store, self.processor, lease=timedelta(seconds=30)).run_once()
        ResendService(self._store, self.processor, self.dispatcher, stranded_after=SOON * 5).run_once()
        self._stopping.wait(0.01)

    def _living(self) -> str:
        worker = str(uuid4())
        with self._store.single() as tx:
            tx.workers.beat(worker, "living", 1)
        return worker


def random_workflow(random: Random, on_failure: str) -> Workflow:
    """Return up to 14 steps, each waiting for some of those before it."""
    workflow = Workflow(f"chaos_{uuid4().hex[:8]}", on_failure=on_failure)
    for number in range(random.randint(1, 14)):
        parents = [f"s{earlier}" for earlier in range(number) if random.random() < 0.3]
        workflow.step(name=f"s{number}", after=parents, retry=TRIED_AGAIN)(lambda ctx: None)
    return workflow


@pytest.mark.parametrize("on_failure", ["fail_fast", "continue"])
def test_every_run_ends_and_nothing_of_it_is_lost_or_doubled(store: Store, on_failure: str) -> None:
    chaos = Chaos(store, randrange(1_000_000))
    with chaos.unleashed():
        runs = []
        for number in range(RUNS):
            workflow = random_workflow(chaos.random, on_failure)
            runs.append(chaos.client.submit(workflow, number))
            if chaos.random.random() < 0.2:
                chaos.random.choice(runs).cancel("enough", actor="a test")

        wait_until(
            lambda: chaos.errors or all(run.state in FINAL_RUN_STATES for run in runs), within=40, why="all have ended"
        )

    assert prove_every_run(store.database) == RUNS
