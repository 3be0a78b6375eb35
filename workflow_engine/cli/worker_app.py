"""The app of ``wfe worker``: ``celery --app workflow_engine.cli.worker_app``."""

import sys

from celery import Celery

from workflow_engine.bootstrap.engine import Engine
from workflow_engine.cli.failures import as_failure, report
from workflow_engine.errors import WorkflowEngineError
from workflow_engine.logs import configure_logging


def _make() -> Celery:
    try:
        engine = Engine(application_name="wfe worker")
        if engine.settings.log_format == "json":  # what Celery says before it sets up its own log is to be JSON, too
            configure_logging(engine.settings.log_level, "json")
        return engine.install()
    except WorkflowEngineError as error:
        failure = as_failure(error)
        report(failure)
        sys.exit(failure.exit_code)


app = _make()
