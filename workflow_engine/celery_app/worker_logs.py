"""Worker logs: the form that the settings ask for, over the one that Celery has set up."""

import logging
import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

from celery import signals
from celery.utils.log import get_multiprocessing_logger

from workflow_engine.logs import JsonFormatter, shape_logger


class WorkerLogs:
    """Shapes what Celery's loggers write in a worker's main process and in its pool."""

    def __init__(self, log_format: str) -> None:
        """Write logs in this form."""
        self._log_format = log_format

    def connect(self) -> None:
        """Listen to Celery's signals."""
        signals.after_setup_logger.connect(self._shape_all, weak=False)
        signals.after_setup_task_logger.connect(self._shape, weak=False)
        if self._log_format == "json":
            signals.celeryd_init.connect(_shape_last_words, weak=False)

    def _shape_all(self, logger: logging.Logger, **_: Any) -> None:
        self._shape(logger)
        self._shape(get_multiprocessing_logger())  # tells of lost pool processes, by a handler of its own

    def _shape(self, logger: logging.Logger, **_: Any) -> None:
        shape_logger(logger, self._log_format)


def _shape_last_words(**_: Any) -> None:
    """Have a worker that is told to stop say so as JSON: Celery writes that to standard output, past all loggers."""
    worker: Any = import_module("celery.apps.worker")
    worker.safe_say = _say


def _say(message: str, stream: Any = sys.__stderr__) -> None:
    fields = {"name": "celery.apps.worker", "levelno": logging.INFO, "levelname": "INFO", "msg": message}
    line = JsonFormatter().format(logging.makeLogRecord(fields)) + "\n"
    with suppress(OSError):  # past all locks, because this runs in a signal handler
        os.write(stream.fileno(), line.encode())
