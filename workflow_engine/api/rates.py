"""Rates: how often one caller may ask. A bucket of tokens for each, in this process's memory."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from time import monotonic
from typing import Final

from workflow_engine.api.refusals import TooMany

BUCKETS_LIMIT: Final = 10_000
"""Callers who are remembered; who has not asked for longest is forgotten first, and may then start anew."""


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Rates:
    """Counts requests; used by one thread, the event loop's."""

    def __init__(
        self,
        per_second: float,
        burst: int,
        *,
        clock: Callable[[], float] = monotonic,
        buckets_limit: int = BUCKETS_LIMIT,
    ) -> None:
        """``per_second`` 0 counts nothing."""
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._buckets_limit = buckets_limit
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, who: str) -> None:
        """Count a request.

        Raises:
            TooMany: it is one too many; ``Retry-After`` says when the next one may come.
        """
        if self._per_second == 0:
            return
        bucket = self._refilled(who)
        if bucket.left < 1:
            wait = ceil((1 - bucket.left) / self._per_second)
            raise TooMany(
                f"more than {self._per_second:g} requests a second; try again in {wait} s",
                headers={"Retry-After": str(wait)},
            )
        bucket.left -= 1

    def _refilled(self, who: str) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.get(who)
        if bucket is None:
            bucket = self._buckets[who] = _Bucket(left=self._burst, at=now)
            if len(self._buckets) > self._buckets_limit:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(who)
        bucket.left = min(bucket.left + (now - bucket.at) * self._per_second, self._burst)
        bucket.at = now
        return bucket
