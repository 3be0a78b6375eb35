"""The shapes as Celery's own canvas, with its Redis result backend."""

from collections.abc import Sequence
from typing import Any

from celery import Celery, chain, chord, group

from benchmarks.configuration import CANVAS_QUEUE, Configuration
from benchmarks.trace import append, record
from workflow_engine.celery_app.app import create_app


def canvas_app(configuration: Configuration) -> Celery:
    """Return an app with one task that does nothing but append its record."""
    app = Celery("canvas", broker=configuration.broker_url, backend=configuration.results_url)
    app.conf.update(configuration.celery_settings(CANVAS_QUEUE))
    if configuration.same_transport:
        app.conf.broker_transport = create_app(configuration.broker_url, configuration.database_url, "").conf[
            "broker_transport"
        ]

    @app.task(name="canvas.noop")  # type: ignore[untyped-decorator]  # Celery has no types
    def noop(*arguments: Any) -> int:
        append(arguments[-1])  # before it: what the tasks before returned
        return 1

    return app


class Canvas:
    """Builds canvases of one app."""

    def __init__(self, app: Celery) -> None:
        """Build from the app's one task."""
        self.app = app
        self.noop = app.tasks["canvas.noop"]

    def chain(self, run: int, length: int) -> Any:
        """Return a chain of ``length`` tasks."""
        return chain(*self._tasks(run, range(length)))

    def diamond(self, run: int) -> Any:
        """Return one task, two beside each other, one."""
        first, left, right, last = self._tasks(run, range(4))
        return chain(first, chord([left, right], last))

    def wide(self, run: int, width: int, queue: str | None = None) -> Any:
        """Return one task, ``width`` after it (in ``queue``, if given), and one after all of them."""
        first, *middle, last = self._tasks(run, range(width + 2))
        if queue is not None:
            middle = [task.set(queue=queue) for task in middle]
        return chain(first, chord(group(middle), last))

    def _tasks(self, run: int, steps: Sequence[int]) -> list[Any]:
        return [self.noop.s(record(run, step)) for step in steps]
