"""Our side's engine, the same in the worker and in the process that submits."""

from collections.abc import Iterable

from benchmarks.configuration import Configuration
from benchmarks.workflows import served
from workflow_engine import Engine, Settings, Workflow


def engine_of(configuration: Configuration, workflows: Iterable[Workflow] | None = None) -> Engine:
    """Return the engine on the benchmark's servers; it shares the Celery settings of the other side."""
    settings = Settings(
        database_url=configuration.database_url, broker_url=configuration.broker_url, queue=configuration.queue
    )
    engine = Engine(settings, workflows=served() if workflows is None else workflows)
    engine.app.conf.update(configuration.celery_settings(configuration.queue))
    return engine
