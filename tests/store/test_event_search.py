"""What a search finds in the log is what its filter would have kept of everything."""

from itertools import product

import pytest

from tests.support.recording import RecordingDispatcher, graph, run_all, submit
from workflow_engine.engine.processor import Processor
from workflow_engine.ids import RunId
from workflow_engine.model.records import EventRecord
from workflow_engine.store.event_search import EventFilter, EventSearch
from workflow_engine.store.transaction import Store

ENOUGH = 1_000


def whole_log(store: Store) -> list[EventRecord]:
    with store.single() as tx:
        return tx.event_log.read(0, ENOUGH)


@pytest.fixture
def log(store: Store, processor: Processor, dispatcher: RecordingDispatcher) -> list[EventRecord]:
    """The log after runs of two workflows, in two namespaces, and an event that is about no run."""
    for workflow in (graph({"a": (), "b": ("a",)}), graph({"a": ()}, namespace="elsewhere")):
        for _ in range(2):
            submit(processor, workflow)
            run_all(processor, dispatcher)
    with store.single() as tx:
        tx.connection.execute(
            "INSERT INTO events (namespace, name, data) VALUES ('elsewhere', 'subscriber.requeued',"
            """ '{"subscriber": "s", "deliveries": 1, "actor": null}')"""
        )
    return whole_log(store)


def test_a_search_finds_exactly_what_fits(store: Store, log: list[EventRecord]) -> None:
    runs: list[RunId | None] = [None, log[0].run_id]
    names: list[set[str] | None] = [None, {"run.submitted", "step.completed"}, {"subscriber.requeued"}, set()]
    namespaces = [None, "default", "elsewhere", "nowhere"]
    workflows = [None, log[0].workflow, "nothing"]

    with store.single() as tx:
        search = EventSearch(tx.connection)
        for run_id, names_, namespace, workflow in product(runs, names, namespaces, workflows):
            wanted = EventFilter(run_id=run_id, names=names_, namespace=namespace, workflow=workflow)
            fitting = [event for event in log if wanted.fits(event)]
            assert search.newest(wanted, ENOUGH, until=place(log[-1])) == fitting
            assert search.page(wanted, ENOUGH, after=0, until=place(log[-1])) == fitting


def test_a_search_keeps_within_its_places_and_its_limit(store: Store, log: list[EventRecord]) -> None:
    after, until = place(log[2]), place(log[8])

    with store.single() as tx:
        search = EventSearch(tx.connection)
        assert search.page(EventFilter(), ENOUGH, after=after, until=until) == log[3:9]
        assert search.page(EventFilter(), 2, after=after, until=until) == log[3:5]
        assert search.newest(EventFilter(), ENOUGH, after=after, until=until) == log[3:9]
        assert search.newest(EventFilter(), 2, after=after, until=until) == log[7:9]


def place(event: EventRecord) -> int:
    assert event.position is not None
    return event.position
