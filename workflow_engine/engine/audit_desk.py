"""AuditDesk: what people ask of the audit log: who did what, and whether it is as it was recorded."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from workflow_engine.model.audit_chain import START, Anchor, AuditRow, ChainEnd, ChainWalk, Flaw
from workflow_engine.store.audit import AuditFilter, AuditLog
from workflow_engine.store.partitions import Month
from workflow_engine.store.transaction import Store

OFTEN: Final = 10_000
"""Rows between two words about the progress."""

PAGE: Final = 500

Progress = Callable[[int, int], None]
"""Called with the number that was reached and the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What was found."""

    rows: int
    """How many rows are right."""
    dropped: int
    """How many rows retention has dropped among them, as their anchors say."""
    first_number: int
    end: ChainEnd
    """The last row that is right: noted elsewhere, it tells later whether the log was replaced as a whole."""
    flaw: Flaw | None


class AuditDesk:
    """Answers questions about the audit log."""

    def __init__(self, store: Store, *, every: int = OFTEN) -> None:
        """Read from this store; tell the progress after so many rows."""
        self._store = store
        self._every = every

    def rows(self, wanted: AuditFilter, limit: int) -> Iterator[AuditRow]:
        """Yield the newest rows that fit, newest first, read page by page."""
        while limit > 0:
            with self._store.transaction() as tx:
                page = tx.audit.page(wanted, min(limit, PAGE))
            yield from page
            if len(page) < min(limit, PAGE):
                return
            limit -= len(page)
            wanted = replace(wanted, before=(page[-1].entry.occurred_at, page[-1].number))

    def verify(self, *, from_month: Month | None = None, progress: Progress | None = None) -> AuditReport:
        """Walk along the chain as it is now, from its beginning or from a month on, until a row is wrong.

        Rows recorded meanwhile are not looked at; they are added as ever. No partition is dropped meanwhile.
        """
        with self._store.snapshot() as tx:
            head = tx.audit.head()
            start = START if from_month is None else _start(tx.audit, from_month, head)
            if isinstance(start, Flaw):
                end = ChainEnd(number=start.number - 1, hash=b"")
                return AuditReport(rows=0, dropped=0, first_number=start.number + 1, end=end, flaw=start)
            anchors = tx.audit.anchors(start.number + 1)
            walk = ChainWalk(start, anchors)
            rows, flaw = self._walk(walk, tx.audit, head, progress)
        dropped = _dropped(anchors, walk.end.number)
        return AuditReport(rows=rows, dropped=dropped, first_number=start.number + 1, end=walk.end, flaw=flaw)

    def _walk(
        self, walk: ChainWalk, log: AuditLog, head: ChainEnd | None, progress: Progress | None
    ) -> tuple[int, Flaw | None]:
        rows = 0
        last = walk.end.number if head is None else head.number
        for row in log.read(after=walk.end.number):
            if (flaw := walk.step(row)) is not None:
                return rows, flaw
            rows += 1
            if progress is not None and rows % self._every == 0:
                progress(row.number, last)
        return rows, walk.finish(head)


def _start(log: AuditLog, month: Month, head: ChainEnd | None) -> ChainEnd | Flaw:
    """Return the row before the first of a month; the end of the log if the month has none."""
    number = log.first_number(month)
    if number is None:
        number = (START if head is None else head).number + 1
    if number == 1:
        return START
    found = log.hash_before(number)
    if found is not None:
        return ChainEnd(number=number - 1, hash=found)
    return Flaw(number=number - 1, reason="is missing")


def _dropped(anchors: list[Anchor], last: int) -> int:
    return sum(anchor.number - anchor.first_number + 1 for anchor in anchors if anchor.number <= last)
