"""Waiting for a database that is away, as far as Celery's settings allow."""

import math
from collections.abc import Callable
from itertools import count
from threading import Event
from typing import Any, Final, TypeVar

from celery.utils.log import get_logger
from celery.utils.time import get_exponential_backoff_interval

from workflow_engine.store.results import UNAVAILABLE

logger = get_logger(__name__)
T = TypeVar("T")

_READ_RETRIES: Final = 2


class Patience:
    """Tries again while PostgreSQL does not answer; what is tried must be safe to repeat.

    ``result_backend_always_retry = False`` turns it off, ``result_backend_max_retries`` bounds it, and the
    ``…_sleep_between_retries_ms`` pair paces it. Unless told otherwise, a result is never given up, because
    the work that made it is done; a question gets few tries, because somebody waits for the answer.
    """

    def __init__(self, conf: Any) -> None:
        self._store_retries = _limit(conf, math.inf)
        self._read_retries = _limit(conf, _READ_RETRIES)
        self._base_ms = conf.get("result_backend_base_sleep_between_retries_ms", 10)
        self._max_ms = conf.get("result_backend_max_sleep_between_retries_ms", 10_000)

    def store(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns, once the database lets it."""
        return self._until_available(work, self._store_retries)

    def ask(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns, or soon raise why the database does not let it."""
        return self._until_available(work, self._read_retries)

    def _until_available(self, work: Callable[[], T], retries: float) -> T:
        for attempt in count(1):
            try:
                return work()
            except UNAVAILABLE as error:
                if attempt > retries:
                    raise
                logger.warning("PostgreSQL is away (try %s): %r", attempt, error)
                Event().wait(self._pause(attempt))
        raise AssertionError("count() does not end")

    def _pause(self, attempt: int) -> float:
        exponent = min(attempt, 30)  # enough for any sensible maximum; 2**attempt need not be astronomical
        return float(get_exponential_backoff_interval(self._base_ms, exponent, self._max_ms, full_jitter=True) / 1000)


def _limit(conf: Any, default: float) -> float:
    if conf.value_set_for("result_backend_always_retry") and not conf.result_backend_always_retry:
        return 0
    if conf.value_set_for("result_backend_max_retries") and conf.result_backend_max_retries is not None:
        return float(conf.result_backend_max_retries)
    return default
