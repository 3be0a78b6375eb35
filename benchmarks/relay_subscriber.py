"""The durable subscribers whose relay is measured: they note when they were called, and do nothing else."""

import os
from pathlib import Path
from time import monotonic, time

from workflow_engine.model.records import EventRecord
from workflow_engine.relay.subscriber import Subscriber

EVERY = 1_000


class Counter(Subscriber):
    """Notes the time of each thousandth event."""

    name = "counter"
    subscribe_to = ("*",)
    start = "beginning"

    def opened(self) -> None:
        """Begin at nought."""
        self._file = (Path(os.environ["BENCH_FOLDER"]) / self.name).open("a", buffering=1)
        self._number = 0

    def on_event(self, event: EventRecord) -> None:
        """Count it."""
        del event
        self._number += 1
        if self._number == 1 or self._number % EVERY == 0:
            self._file.write(f"{self._number} {monotonic()}\n")


class Stopwatch(Counter):
    """Notes how long ago each completed step says that it was completed: a little before its commit."""

    name = "stopwatch"
    subscribe_to = ("step.completed",)
    start = "now"

    def on_event(self, event: EventRecord) -> None:
        """Note when it came."""
        self._file.write(f"{event.position} {time() - event.occurred_at.timestamp()}\n")
