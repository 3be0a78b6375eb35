"""The event log: append-only, with causes; in the caller's own transactions, and as inline subscribers hear of it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from tests.support.recording import RecordingDispatcher, claim, complete, fail, graph, key, run_all, submit
from workflow_engine.engine.announcer import Announcer
from workflow_engine.engine.handlers.run import Submitted
from workflow_engine.engine.payloads import redact_with
from workflow_engine.engine.processor import Processor
from workflow_engine.engine.redaction import Redaction
from workflow_engine.ids import RunId, new_run_id
from workflow_engine.model.codec import UPCASTERS
from workflow_engine.model.commands import CancelRun, CompleteStep, SubmitRun
from workflow_engine.model.events import CATALOGUE
from workflow_engine.model.records import EventRecord
from workflow_engine.model.run_options import RunOptions
from workflow_engine.plan.compiler import compile_plan
from workflow_engine.store.session import caller_transaction
from workflow_engine.store.transaction import Store

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def log_of(store: Store, run_id: RunId) -> list[EventRecord]:
    with store.single() as tx:
        return tx.views.events_of(run_id)


@pytest.mark.parametrize("change", ["UPDATE events SET step = 'x'", "DELETE FROM events"])
def test_the_log_is_append_only(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher, change: str
) -> None:
    run_id = submit(processor, graph({"a": ()}))
    told = log_of(store, run_id)

    with store.database.connection() as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute(change.encode())

    assert log_of(store, run_id) == told


def test_events_of_one_transaction_share_its_moment_and_name_what_led_to_them(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    run_id = submit(processor, graph({"a": (), "b": ("a",), "c": ("b",)}))
    message = dispatcher.take("a")
    claim(processor, message)

    fail(processor, message)

    failed, *others = log_of(store, run_id)[4:]
    assert failed.name == "step.failed"
    assert failed.causation_id is None
    assert [other.name for other in others] == ["step.cancelled", "step.cancelled", "run.failed"]
    assert {other.causation_id for other in others} == {failed.event_id}
    assert {other.occurred_at for other in others} == {failed.occurred_at}


def test_every_cause_is_an_earlier_event_of_the_run(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    run_id = submit(processor, graph({"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}))
    run_all(processor, dispatcher)

    seen: set[str] = set()
    for event in log_of(store, run_id):
        assert event.causation_id is None or event.causation_id in seen or event.name == "run.started"
        assert event.event_id not in seen
        seen.add(event.event_id)


def test_a_retry_is_due_when_its_event_and_its_delay_say(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    run_id = submit(processor, graph({"a": ()}))
    message = dispatcher.take("a")
    claim(processor, message)

    fail(processor, message, retry_in=timedelta(minutes=5))

    told = log_of(store, run_id)[-1]
    with store.single() as tx:
        row = tx.connection.execute("SELECT ready_at FROM steps WHERE run_id = %s", [run_id]).fetchone()
    assert row is not None
    assert (told.name, told.occurred_at) == ("step.retrying", row.ready_at - timedelta(minutes=5))


def test_an_event_names_the_trace_of_its_submitter(store: Store, processor: Processor) -> None:
    run_id = submit(processor, graph({"a": ()}), traceparent=TRACE)

    traces = [event.traceparent for event in log_of(store, run_id)]

    assert all(trace is not None and trace.split("-")[1] == TRACE.split("-")[1] for trace in traces)
    assert len(set(traces)) == 2  # the run's span, and that of the attempt


def within(processor: Processor, connection: psycopg.Connection[object]) -> RunId:
    plan_id = processor.register(compile_plan(graph({"a": ()})))
    command = SubmitRun(run_id=new_run_id(), plan_id=plan_id, input="1", input_digest="-", options=RunOptions())
    submitted: Submitted = processor.execute_within(command, caller_transaction(connection))
    return submitted.run_id


def test_a_long_transaction_of_the_caller_takes_its_place_in_the_log_at_its_commit(
    store: Store, processor: Processor
) -> None:
    with psycopg.connect(store.database.url) as connection:
        inside = within(processor, connection)
        outside = submit(processor, graph({"a": ()}))
        before = [event.position for event in log_of(store, outside)]

    (event,) = log_of(store, inside)
    assert event.name == "run.submitted"
    assert event.position == max(position or 0 for position in before) + 1  # no gap for others to wait at
    with store.single() as tx:
        assert tx.connection.execute("SELECT count(*) FROM deferred_events").fetchone() == (0,)


def test_what_the_caller_takes_back_never_happened(store: Store, processor: Processor) -> None:
    with psycopg.connect(store.database.url) as connection:
        inside = within(processor, connection)
        connection.rollback()

    assert log_of(store, inside) == []


class Heard(list[EventRecord]):
    """What an inline subscriber of everything is told."""

    def announcer(self) -> Announcer:
        """Tell it everything."""
        return Announcer(inline=self.extend, wanted=frozenset(CATALOGUE))


def test_inline_subscribers_are_told_what_the_log_says(store: Store, dispatcher: RecordingDispatcher) -> None:
    heard = Heard()
    processor = Processor(store, dispatcher, announcer=heard.announcer())
    good = submit(processor, graph({"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}), traceparent=TRACE)
    while dispatcher.sent:
        message = dispatcher.sent.popleft()
        claimed = claim(processor, message)
        assert claimed is not None
        processor.execute(CompleteStep(**key(message), result="1", seconds=0.1, claim=claimed.claim))
    bad = submit(processor, graph({"a": (), "b": ("a",)}), correlation_id="request-9")
    message = dispatcher.take("a")
    claim(processor, message)
    fail(processor, message, retry_in=timedelta(hours=1))
    processor.execute(CancelRun(run_id=bad))

    logged = [replace(event, position=None) for run_id in (good, bad) for event in log_of(store, run_id)]

    told = [replace(event, position=None) for event in heard]
    assert sorted(told, key=lambda event: event.event_id) == sorted(logged, key=lambda event: event.event_id)


def test_publishing_costs_no_statement(
    store: Store, dispatcher: RecordingDispatcher, count_statements: Callable[[], int]
) -> None:
    processor = Processor(store, dispatcher, announcer=Heard().announcer())
    submit(processor, graph({"a": (), "b": ("a",), "c": ("a",)}))
    message = dispatcher.take("a")
    count_statements()

    claim(processor, message)
    assert count_statements() == 1
    complete(processor, message)
    assert count_statements() == 1


def test_what_changes_nothing_is_not_announced(store: Store, dispatcher: RecordingDispatcher) -> None:
    rings: list[None] = []
    processor = Processor(store, dispatcher, announcer=Announcer(lambda: rings.append(None)))
    submit(processor, graph({"a": ()}))
    message = dispatcher.take("a")
    claim(processor, message)
    assert len(rings) == 2

    claim(processor, message)

    assert len(rings) == 2


def test_a_redaction_rewrites_what_is_stored_about_people_and_nothing_else(
    store: Store, processor: Processor, dispatcher: RecordingDispatcher
) -> None:
    redact_with(Redaction(lambda event, field, text: f"<{event} {field} {len(text)}>"))
    try:
        run_id = submit(processor, graph({"a": ()}), initiator="ada@example.com")
        message = dispatcher.take("a")
        claim(processor, message)
        fail(processor, message)
    finally:
        redact_with(None)

    told = {event.name: event.data for event in log_of(store, run_id)}
    assert told["run.submitted"]["initiator"] == "<run.submitted initiator 15>"
    assert told["step.failed"]["message"] == "<step.failed message 2>"
    assert told["step.failed"]["error_class"] == "Boom"


def test_what_an_older_program_wrote_is_read_in_the_newest_version(
    store: Store, processor: Processor, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = submit(processor, graph({"a": ()}))
    monkeypatch.setattr(CATALOGUE["step.dispatched"], "schema_version", 2)
    monkeypatch.setitem(UPCASTERS, ("step.dispatched", 1), lambda data: {**data, "triggered_by": "upcaster"})  # type: ignore[misc]

    told = log_of(store, run_id)

    assert [(event.name, event.version) for event in told] == [("run.submitted", 1), ("step.dispatched", 2)]
    assert told[1].data["triggered_by"] == "upcaster"
