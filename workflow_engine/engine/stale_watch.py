"""StaleWatch: tells, once for each standstill, that nothing of a run has moved for longer than it may take."""

import logging
from datetime import timedelta
from typing import Final

from workflow_engine.engine.processor import Processor
from workflow_engine.engine.service import Service
from workflow_engine.engine.stale_runs import StaleRuns
from workflow_engine.ids import RunId
from workflow_engine.metrics.instrument import Values
from workflow_engine.model.commands import TellStandstills
from workflow_engine.store.standstills import Place

logger = logging.getLogger(__name__)

EVERY: Final = timedelta(minutes=1)
_TOLD_AT_ONCE: Final = 100


class StaleWatch(Service):
    """Looks once a minute at up to 2,000 unfinished runs, by one query; at the next ones, if there are, next time."""

    name = "stale watch"

    def __init__(self, stale: StaleRuns, processor: Processor) -> None:
        """Find through ``stale``, tell through ``processor``."""
        super().__init__(EVERY)
        self._stale = stale
        self._processor = processor
        self._place: Place | None = None
        self._counting: dict[RunId, bool] = {}
        self._counted: dict[RunId, bool] = {}
        self._warned: set[RunId] = set()

    @property
    def numbers(self) -> Values:
        """How many runs stand still, as far as the last look at all of them tells."""
        stale = sum(self._counted.values())
        return [(stale, {"level": "stale"}), (len(self._counted) - stale, {"level": "warning"})]

    def run_once(self) -> timedelta | None:
        """Look at the next unfinished runs, and tell of what has not been told of."""
        found, self._place = self._stale.look(self._place)
        for each in found:
            is_stale = each.stands_for >= each.limit
            self._counting[each.run_id] = is_stale
            if not is_stale and each.run_id not in self._warned:
                logger.warning("run %s has not moved for %s of at most %s", each.run_id, each.stands_for, each.limit)
        if self._place is None:
            self._counted, self._counting = self._counting, {}
            self._warned = set(self._counted)
        news = [each for each in found if each.stands_for >= each.limit and not each.is_told]
        for first in range(0, len(news), _TOLD_AT_ONCE):
            runs = self._stale.explained(news[first : first + _TOLD_AT_ONCE])
            for run in runs:
                logger.warning("run %s has not moved for %s: %s", run.run_id, run.stands_for, run.sentence)
            self._processor.execute(TellStandstills(runs=runs))
        return None
