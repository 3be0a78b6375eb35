"""TaskEvents: Celery's task events as Flower hears them."""

from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

from celery import Celery
from kombu import Connection

from tests.support.processes import Stage


class TaskEvents:
    """Listens, while the block runs, to what a stage's workers tell of their tasks."""

    def __init__(self, stage: Stage) -> None:
        self.names: dict[str, str] = {}
        self.roots: dict[str, str | None] = {}
        self._told: dict[str, list[str]] = {}
        self._broker = stage.settings.require_broker_url()
        self._listening = Event()
        self._stop = Event()
        self._thread = Thread(target=self._listen, daemon=True)

    def of(self, task: str) -> list[str]:
        """Return the events of a task, in the order of their clocks."""
        return list(self._told.get(task, ()))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(timeout=10)

    def _listen(self) -> None:
        app = Celery(broker=self._broker)
        with Connection(self._broker) as connection:
            receiver = app.events.Receiver(connection, handlers={"*": self._hear})
            with receiver.consumer_context(wakeup=False) as (established, _, _):
                self._listening.set()
                while not self._stop.is_set():
                    _drain(established.drain_events)

    def _hear(self, event: dict[str, Any]) -> None:
        if "uuid" not in event:
            return
        self._told.setdefault(event["uuid"], []).append(event["type"])
        if event["type"] == "task-received":
            self.names[event["uuid"]] = event["name"]
            self.roots[event["uuid"]] = event["root_id"]


def _drain(drain: Callable[..., Any]) -> None:
    try:
        drain(timeout=0.2)
    except TimeoutError:
        return
