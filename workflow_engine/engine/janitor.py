"""JanitorService: makes the monthly partitions of the events and audit logs ahead, and drops those past their time."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from workflow_engine.clock import Clock
from workflow_engine.engine.service import Service
from workflow_engine.store.partitions import Month, PartitionedTable
from workflow_engine.store.transaction import Store, Transaction

logger = logging.getLogger(__name__)

MONTHS_AHEAD: Final = 3
HOURLY: Final = timedelta(hours=1)
SOON: Final = timedelta(minutes=1)
"""When to try again what others were in the way of."""


class Deed(StrEnum):
    """What became of a partition."""

    MADE = "made"
    DROPPED = "dropped"
    KEPT = "kept"
    """It is past its time, but a subscriber has not had all of it."""
    POSTPONED = "postponed"
    """Somebody uses the table; the next round tries again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """What was done about a partition."""

    partition: str
    deed: Deed
    moved: int = 0
    """Rows that came from the default partition."""
    subscribers: tuple[str, ...] = ()
    """For whom it is kept."""


class JanitorService(Service):
    """Looks after the partitions, at the start and then once an hour; of several coordinators one at a time does."""

    name = "janitor"

    def __init__(
        self, store: Store, clock: Clock, *, keep: Mapping[PartitionedTable, timedelta], every: timedelta = HOURLY
    ) -> None:
        """Look after these tables, whose rows are kept at least as long as given."""
        super().__init__(every)
        self._store = store
        self._clock = clock
        self._keep = keep

    def run_once(self) -> timedelta | None:
        """Make and drop what is due; come back soon if somebody was in the way."""
        is_postponed = False
        for done in self.tidy():
            _log(done)
            is_postponed |= done.deed is Deed.POSTPONED
        return SOON if is_postponed else None

    def tidy(self, *, dry_run: bool = False) -> list[Upkeep]:
        """Make and drop what is due, each partition in a transaction of its own; with ``dry_run`` only say what is.

        Another janitor that is at work at this moment is left to it.
        """
        done: list[Upkeep] = []
        for table, keep in self._keep.items():
            done.extend(self._make(table, dry_run=dry_run))
            done.extend(self._drop(table, keep, dry_run=dry_run))
        return done

    def _make(self, table: PartitionedTable, *, dry_run: bool) -> Iterator[Upkeep]:
        now = self._clock.now()
        with self._store.transaction() as tx:
            strays = set(tx.partitions.stray_months(table))
            missing = sorted((strays | _ahead(Month.of(now))) - set(tx.partitions.months(table)))
        for month in missing:
            partition = table.partition(month)
            if dry_run:
                yield Upkeep(partition=partition, deed=Deed.MADE)
                continue
            with self._store.transaction() as tx:
                if not _has_turn(tx) or month in tx.partitions.months(table):
                    continue
                moved = tx.partitions.make(table, month, is_written=month in strays or month.start <= now)
            deed = Deed.POSTPONED if moved is None else Deed.MADE
            yield Upkeep(partition=partition, deed=deed, moved=moved or 0)

    def _drop(self, table: PartitionedTable, keep: timedelta, *, dry_run: bool) -> Iterator[Upkeep]:
        oldest = self._clock.now() - keep
        with self._store.transaction() as tx:
            over = [month for month in tx.partitions.months(table) if month.end <= oldest]
        for month in over:
            with self._store.transaction() as tx:
                if not _has_turn(tx) or month not in tx.partitions.months(table):
                    continue
                done = _drop_month(tx, table, month, dry_run=dry_run)
            yield done


def _ahead(month: Month) -> set[Month]:
    """Return a month and those after it that are to have partitions."""
    months = [month]
    for _ in range(MONTHS_AHEAD):
        months.append(months[-1].next)
    return set(months)


def _has_turn(tx: Transaction) -> bool:
    return tx.partitions.lock()


def _drop_month(tx: Transaction, table: PartitionedTable, month: Month, *, dry_run: bool) -> Upkeep:
    partition = table.partition(month)
    if table.is_delivered and (behind := tx.partitions.subscribers_behind(table, month)):
        return Upkeep(partition=partition, deed=Deed.KEPT, subscribers=tuple(behind))
    is_dropped = dry_run or tx.partitions.drop(table, month)
    return Upkeep(partition=partition, deed=Deed.DROPPED if is_dropped else Deed.POSTPONED)


def _log(done: Upkeep) -> None:
    if done.deed is Deed.KEPT:
        logger.warning(
            "partition %s is past its time, but kept: %s did not get all of it",
            done.partition,
            ", ".join(done.subscribers),
        )
    elif done.moved:
        logger.warning("partition %s was made late: %s rows moved into it", done.partition, done.moved)
    else:
        logger.info("partition %s: %s", done.partition, done.deed)
