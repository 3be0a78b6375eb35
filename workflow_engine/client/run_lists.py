"""Lists of a namespace's runs: a page at a time, and how many there are of what."""

from datetime import datetime, timedelta
from typing import Any

from workflow_engine.errors import InvalidInput
from workflow_engine.model.pages import Page, Place, as_cursor, check_limit, parse_cursor
from workflow_engine.model.records import RunRecord, RunSummary
from workflow_engine.model.run_filter import RunOrder, run_filter
from workflow_engine.model.statistics import LONGEST_RANGE, RunStatistics
from workflow_engine.store.run_questions import RunQuestion
from workflow_engine.store.run_search import RunSearch
from workflow_engine.store.run_statistics import run_statistics
from workflow_engine.store.transaction import Store


class RunLists:
    """Questions about many runs of a namespace."""

    def __init__(self, store: Store, *, namespace: str) -> None:
        """Ask this store about this namespace."""
        self._store = store
        self._namespace = namespace

    def page(
        self,
        *,
        limit: int = 50,
        cursor: str | None = None,
        order: RunOrder | str = RunOrder.NEWEST,
        with_input: bool = False,
        **wanted: Any,
    ) -> Page[RunSummary]:
        """Return the next page; see ``WorkflowClient.page_runs``."""
        check_limit(limit)
        asked_order = _order(order)
        fitting = run_filter(**wanted)
        text = fitting.question(self._namespace, asked_order)
        question = RunQuestion(
            namespace=self._namespace,
            wanted=fitting,
            order=asked_order,
            after=None if cursor is None else parse_cursor(cursor, text),
        )
        with self._store.in_order() as tx:
            found = RunSearch(tx.connection).page(question, limit, with_input=with_input)
        return Page(items=found.runs, next=None if found.next is None else as_cursor(found.next, text))

    def newest(self, limit: int, after: Place | None, **wanted: Any) -> list[RunRecord]:
        """Return the newest runs that fit, with their inputs, however far they are; see ``WorkflowClient.runs``."""
        found: list[RunRecord] = []
        fitting = run_filter(**wanted)
        with self._store.in_order() as tx:
            while True:
                question = RunQuestion(namespace=self._namespace, wanted=fitting, after=after)
                page = RunSearch(tx.connection).page(question, limit - len(found), with_input=True)
                found += [run for run in page.runs if isinstance(run, RunRecord)]
                after = page.next
                if after is None or len(found) == limit:
                    return found

    def statistics(self, **wanted: Any) -> RunStatistics:
        """Return statistics of the runs that fit; see ``WorkflowClient.statistics``."""
        with self._store.in_order() as tx:
            until = wanted.get("created_before") or tx.now()
            since = wanted.get("created_after") or _a_day_before(until)
            fitting = run_filter(**{**wanted, "created_after": since, "created_before": until})
            if until - since > LONGEST_RANGE:
                raise InvalidInput("created_after", f"is more than {LONGEST_RANGE.days} days before created_before")
            question = RunQuestion(namespace=self._namespace, wanted=fitting)
            return run_statistics(tx.connection, question, since, until)


def _a_day_before(moment: datetime) -> datetime:
    try:
        return moment - timedelta(days=1)
    except (TypeError, OverflowError):
        raise InvalidInput("created_before", f"must be a time with a zone, not {moment!r}") from None


def _order(order: RunOrder | str) -> RunOrder:
    try:
        return RunOrder(order)
    except ValueError:
        raise InvalidInput("order", f"must be one of {', '.join(RunOrder)}, not {order!r}") from None
