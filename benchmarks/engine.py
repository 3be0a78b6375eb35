"""Our side's engine, the same in the worker and in the process that submits."""

from benchmarks.configuration import ENGINE_QUEUE, Configuration
from benchmarks.workflows import served
from workflow_engine import Engine, Settings


def engine_of(configuration: Configuration) -> Engine:
    """Return the engine on the benchmark's servers; it shares the Celery settings of the other side."""
    settings = Settings(
        database_url=configuration.database_url, broker_url=configuration.broker_url, queue=ENGINE_QUEUE
    )
    engine = Engine(settings, workflows=served())
    engine.app.conf.update(configuration.celery_settings(ENGINE_QUEUE))
    return engine
