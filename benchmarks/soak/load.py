"""Who makes the load: a thread that submits and does things to runs, one that reads over the API, one that listens."""

import heapq
import socket
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Event as Flag
from threading import Thread
from time import monotonic
from typing import Any, Final
from urllib.request import urlopen

from benchmarks.soak import flows
from workflow_engine import RunEnded, RunHandle, Workflow
from workflow_engine.client.client import WorkflowClient

STEPS: Final[Mapping[str, float]] = {
    "diamond": 0.40,
    "chain": 0.20,
    "fan": 0.25,
    "paused": 0.05,
    "retried": 0.03,
    "failing": 0.02,
    "sleeping": 0.02,
    "signalled": 0.02,
    "cancelled": 0.01,
}
"""The share of each shape in the steps; a schedule adds a run of one step each minute, and ten at once."""

WORKFLOWS: Final[Mapping[str, Workflow]] = {
    "diamond": flows.diamond,
    "chain": flows.chain,
    "fan": flows.fan,
    "paused": flows.paused,
    "retried": flows.retried,
    "failing": flows.failing,
    "sleeping": flows.sleeping,
    "signalled": flows.signalled,
    "cancelled": flows.cancelled,
}
_SCHEDULE: Final = "soak"
_TICK: Final = 0.1
_LATE: Final = 5.0
"""Seconds of load that are not made up for, when the machine could not keep up."""


class Load(Thread):
    """Submits so many steps a second until it is told to stop, and what it began it brings to an end."""

    def __init__(self, client: WorkflowClient, steps_per_second: float) -> None:
        """Prepare; ``start`` begins."""
        super().__init__(name="load")
        self.submitted: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.left_out: float = 0.0
        self.error: BaseException | None = None
        self._client = client
        self._rates = {shape: share * steps_per_second / len(WORKFLOWS[shape].steps) for shape, share in STEPS.items()}
        self._stop_asked = Flag()
        self._later: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = count()

    def run(self) -> None:
        """Make the load."""
        try:
            self._client.schedules.create(
                _SCHEDULE,
                flows.scheduled,
                1,
                rrule="FREQ=MINUTELY",
                start=datetime.now(UTC) - timedelta(minutes=10),
                catch_up="all",
            )
            self._submit_paced()
            self._client.schedules.pause(_SCHEDULE)
            while self._later:
                self._do_what_is_due()
                Flag().wait(_TICK)
        except BaseException as error:  # for the thread that waits for this one
            self.error = error
            raise

    def stop(self) -> None:
        """Begin nothing more, and return once all that was to be done to runs is done."""
        self._stop_asked.set()
        self.join()

    def _submit_paced(self) -> None:
        due, last = dict.fromkeys(self._rates, 0.0), monotonic()
        while not self._stop_asked.wait(_TICK):
            now = monotonic()
            passed, last = min(now - last, _LATE), now
            for shape, rate in self._rates.items():
                due[shape] += rate * passed
                while due[shape] >= 1:
                    due[shape] -= 1
                    self._submit(shape)
            self._do_what_is_due()

    def _submit(self, shape: str) -> None:
        run = self._client.submit(WORKFLOWS[shape], next(self._numbers))
        self.submitted[shape] += 1
        if shape == "signalled":
            self._after(1.0, "signal", lambda: run.signal("go", {"by": "the soak"}))
        elif shape == "cancelled":
            self._after(1.0, "cancel", run.cancel)
        elif shape == "paused" and _paused(run):
            self.asked["pause"] += 1
            self._after(1.0, "resume", run.resume)

    def _after(self, seconds: float, what: str, action: Callable[[], object]) -> None:
        def counted() -> None:
            action()
            self.asked[what] += 1

        heapq.heappush(self._later, (monotonic() + seconds, next(self._numbers), counted))

    def _do_what_is_due(self) -> None:
        while self._later and self._later[0][0] <= monotonic():
            heapq.heappop(self._later)[2]()


class Reader(Thread):
    """Reads lists of runs and the details of some, four requests at a time and then a pause."""

    def __init__(self, url: str, runs: Callable[[], Any]) -> None:
        """Read from the API at ``url``; ``runs`` yields ids of runs to look at."""
        super().__init__(name="reader", daemon=True)
        self.seconds: list[tuple[float, float]] = []
        """Of each request, when it was made and how long it took."""
        self.errors: Counter[str] = Counter()
        self._url = url
        self._runs = runs
        self._stop_asked = Flag()

    def run(self) -> None:
        """Read."""
        while not self._stop_asked.wait(0.25):
            paths = ["/v1/runs?limit=50", "/v1/runs?state=failed&limit=20"]
            run_id = self._runs()
            if run_id is not None:
                paths += [f"/v1/runs/{run_id}", f"/v1/runs/{run_id}/steps"]
            for path in paths:
                self._get(path)

    def stop(self) -> None:
        """Ask no more."""
        self._stop_asked.set()
        self.join()

    def _get(self, path: str) -> None:
        began = monotonic()
        try:
            with urlopen(self._url + path, timeout=30) as answer:
                answer.read()
        except OSError as error:
            self.errors[f"{type(error).__name__}: {error}"[:100]] += 1
            return
        self.seconds.append((began, monotonic() - began))


class Listener(Thread):
    """Listens to every event as a stream."""

    def __init__(self, host: str, port: int) -> None:
        """Listen to the API there."""
        super().__init__(name="listener", daemon=True)
        self.events = 0
        self.first = self.last = 0
        """The positions of the oldest event it has, and of the newest."""
        self.reconnected = -1
        self._address = (host, port)
        self._stop_asked = Flag()

    def run(self) -> None:
        """Listen; where the connection ends, come back from where it was."""
        while not self._stop_asked.is_set():
            self.reconnected += 1
            try:
                self._listen()
            except OSError:
                self._stop_asked.wait(0.5)

    def stop(self) -> None:
        """Listen no more."""
        self._stop_asked.set()
        self.join(10)

    def _listen(self) -> None:
        host, port = self._address
        place = f"Last-Event-ID: {self.last}\r\n" if self.last else ""
        with socket.create_connection(self._address, timeout=30) as connection:
            connection.sendall(f"GET /v1/events/stream HTTP/1.1\r\nHost: {host}:{port}\r\n{place}\r\n".encode())
            lines = connection.makefile("rb")
            while not self._stop_asked.is_set():
                try:
                    line = lines.readline()
                except TimeoutError:
                    return
                if not line:
                    return
                if line.startswith(b"id: "):
                    self.events += 1
                    self.last = int(line[4:])
                    self.first = self.first or self.last


def _paused(run: RunHandle) -> bool:
    """Pause a run, if it is not over already."""
    try:
        return run.pause()
    except RunEnded:
        return False
