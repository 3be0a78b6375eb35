"""Worker logs: the form that the settings ask for, over the one that Celery has set up."""

import logging
from typing import Any

from celery import signals
from celery.utils.log import get_multiprocessing_logger

from workflow_engine.logs import shape_logger


class WorkerLogs:
    """Shapes what Celery's loggers write in a worker's main process and in its pool."""

    def __init__(self, log_format: str) -> None:
        """Write logs in this form."""
        self._log_format = log_format

    def connect(self) -> None:
        """Listen to Celery's signals."""
        signals.after_setup_logger.connect(self._shape_all, weak=False)
        signals.after_setup_task_logger.connect(self._shape, weak=False)

    def _shape_all(self, logger: logging.Logger, **_: Any) -> None:
        self._shape(logger)
        self._shape(get_multiprocessing_logger())  # tells of lost pool processes, by a handler of its own

    def _shape(self, logger: logging.Logger, **_: Any) -> None:
        shape_logger(logger, self._log_format)
