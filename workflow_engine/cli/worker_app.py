"""The app of ``wfe worker``: ``celery --app workflow_engine.cli.worker_app``."""

import sys

from celery import Celery

from workflow_engine.bootstrap import Engine
from workflow_engine.cli.failures import as_failure, report
from workflow_engine.errors import WorkflowEngineError


def _make() -> Celery:
    try:
        return Engine(application_name="wfe worker").install()
    except WorkflowEngineError as error:
        failure = as_failure(error)
        report(failure)
        sys.exit(failure.exit_code)


app = _make()
