"""Submits that come while others are being stored go together, and none of them suffers from another."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event as Flag
from threading import get_ident
from typing import Any

import psycopg
import pytest

from tests.support.processes import wait_until
from tests.support.recording import RecordingDispatcher, event_names, graph, states
from workflow_engine import compile_plan
from workflow_engine.engine import gathering
from workflow_engine.engine.announcer import Announcer
from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.engine.gathering import AT_ONCE, LARGE, MOST
from workflow_engine.engine.outcome import Outcome, Told
from workflow_engine.engine.processor import Processor
from workflow_engine.errors import DatabaseUnavailable
from workflow_engine.ids import new_run_id
from workflow_engine.model.commands import SubmitRun
from workflow_engine.model.records import EventRecord
from workflow_engine.model.run_options import RunOptions
from workflow_engine.store.database import Database
from workflow_engine.store.transaction import Store

SHAPE = {"a": (), "b": ("a",)}


def a_submit(plan_id: int, text: str = "1", **options: Any) -> SubmitRun:
    return SubmitRun(run_id=new_run_id(), plan_id=plan_id, input=text, input_digest=text, options=RunOptions(**options))


@pytest.fixture
def plan_id(processor: Processor) -> int:
    return processor.register(compile_plan(graph(SHAPE)))


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(MOST + 16) as made:
        yield made


@contextmanager
def nobody_stores(database: Database) -> Iterator[None]:
    """Let every submit wait for the length of the block."""
    with psycopg.connect(database.url) as connection:
        connection.execute("LOCK TABLE runs IN EXCLUSIVE MODE")
        yield
        connection.rollback()


def are_blocked(database: Database, number: int) -> bool:
    with psycopg.connect(database.url) as connection:
        row = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
        return row is not None and row[0] == number


def submit_behind_others(
    processor: Processor, database: Database, threads: ThreadPoolExecutor, first: Sequence[SubmitRun]
) -> Callable[[Sequence[SubmitRun]], list[Future[Any]]]:
    """Let ``first`` be under way; return what submits others, and comes back when all of them wait for these."""
    for command in first:
        threads.submit(processor.execute, command)
    wait_until(lambda: are_blocked(database, AT_ONCE))

    def submit(others: Sequence[SubmitRun]) -> list[Future[Any]]:
        futures = []
        for number, command in enumerate(others, 1):
            futures.append(threads.submit(processor.execute, command))
            wait_until(lambda number=number: len(processor._gathering._waiting) == number)
        return futures

    return submit


def test_those_that_come_while_others_are_stored_are_one_statement_and_each_gets_its_run(
    processor: Processor,
    database: Database,
    store: Store,
    dispatcher: RecordingDispatcher,
    threads: ThreadPoolExecutor,
    plan_id: int,
    count_statements: Callable[[], int],
) -> None:
    first, others = ([a_submit(plan_id) for _ in range(number)] for number in (AT_ONCE, 12))
    with nobody_stores(database):
        futures = submit_behind_others(processor, database, threads, first)(others)
        count_statements()
    answers = [future.result(10) for future in futures]

    assert [answer.run_id for answer in answers] == [command.run_id for command in others]
    assert all(answer.created for answer in answers)
    assert count_statements() == 1
    wait_until(lambda: len(dispatcher.sent) == AT_ONCE + 12)
    assert {step.run_id for step in dispatcher.sent} == {command.run_id for command in (*first, *others)}
    assert states(store, others[-1].run_id) == states(store, first[0].run_id)
    assert event_names(store, others[-1].run_id) == event_names(store, first[0].run_id)


def test_who_comes_alone_is_stored_at_once_and_none_is_left_behind(
    processor: Processor, dispatcher: RecordingDispatcher, threads: ThreadPoolExecutor, plan_id: int
) -> None:
    commands = [a_submit(plan_id) for _ in range(200)]

    answers = list(threads.map(processor.execute, commands))
    alone = processor.execute(a_submit(plan_id))

    assert [answer.run_id for answer in answers] == [command.run_id for command in commands]
    assert alone.created
    assert len(dispatcher.sent) == len({step.run_id for step in dispatcher.sent}) == 201
    assert processor._gathering._under_way == 0


class Interruptible(Flag):
    """Raises in whoever waits for it, before or after its turn has come."""

    before = after = False

    def wait(self, timeout: float | None = None) -> bool:
        while not super().wait(0.01):
            if self.before:
                raise KeyboardInterrupt
        if self.after:
            raise KeyboardInterrupt
        return True


@pytest.mark.parametrize("moment", ["before", "after"])
def test_one_that_is_interrupted_while_it_waits_holds_up_no_other(
    processor: Processor,
    database: Database,
    dispatcher: RecordingDispatcher,
    threads: ThreadPoolExecutor,
    plan_id: int,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    place = gathering._Place
    monkeypatch.setattr(gathering, "_Place", lambda command: place(command, turn=Interruptible()))
    others = [a_submit(plan_id) for _ in range(5)]
    with nobody_stores(database):
        submit = submit_behind_others(processor, database, threads, [a_submit(plan_id) for _ in range(AT_ONCE)])
        interrupted, *futures = submit(others)
        setattr(processor._gathering._waiting[0].turn, moment, True)
        if moment == "before":
            wait_until(interrupted.done)

    with pytest.raises(KeyboardInterrupt):
        interrupted.result(10)
    assert [future.result(10).run_id for future in futures] == [command.run_id for command in others[1:]]
    wait_until(lambda: len(dispatcher.sent) == AT_ONCE + 4)
    wait_until(lambda: processor._gathering._under_way == 0)
    assert processor.execute(a_submit(plan_id)).created


def test_one_that_cannot_be_stored_harms_no_other(
    processor: Processor,
    database: Database,
    dispatcher: RecordingDispatcher,
    threads: ThreadPoolExecutor,
    plan_id: int,
) -> None:
    others = [a_submit(plan_id), a_submit(plan_id, "no json"), a_submit(plan_id)]
    with nobody_stores(database):
        submit = submit_behind_others(processor, database, threads, [a_submit(plan_id) for _ in range(AT_ONCE)])
        good, bad, fine = submit(others)

    assert good.result(10).run_id == others[0].run_id
    assert fine.result(10).run_id == others[2].run_id
    with pytest.raises(psycopg.DataError):
        bad.result(10)
    wait_until(lambda: len(dispatcher.sent) == AT_ONCE + 2)


def test_one_whose_message_is_refused_harms_no_other(
    store: Store, database: Database, threads: ThreadPoolExecutor
) -> None:
    class Refusing(RecordingDispatcher):
        def dispatch(self, steps: Sequence[Dispatch]) -> None:
            if any(step.step == "refused" for step in steps):
                raise ValueError("this queue is of another kind")
            super().dispatch(steps)

    dispatcher = Refusing()
    processor = Processor(store, dispatcher)
    plan_id, refused = (processor.register(compile_plan(graph({name: ()}))) for name in ("taken", "refused"))
    others = [a_submit(plan_id), a_submit(refused), a_submit(plan_id)]
    with nobody_stores(database):
        submit = submit_behind_others(processor, database, threads, [a_submit(plan_id) for _ in range(AT_ONCE)])
        good, bad, fine = submit(others)

    assert [good.result(10).created, fine.result(10).created] == [True, True]
    with pytest.raises(ValueError, match="of another kind"):
        bad.result(10)
    wait_until(lambda: len(dispatcher.sent) == AT_ONCE + 2)


def test_where_the_database_goes_away_each_is_told(
    processor: Processor, database: Database, store: Store, threads: ThreadPoolExecutor, plan_id: int
) -> None:
    with nobody_stores(database):
        submit = submit_behind_others(processor, database, threads, [a_submit(plan_id) for _ in range(AT_ONCE)])
        futures = submit([a_submit(plan_id) for _ in range(3)])
        with psycopg.connect(database.url, autocommit=True) as connection:
            stop = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted"
            connection.execute(stop)  # those under way; the group then waits in their place
            wait_until(lambda: not processor._gathering._waiting and are_blocked(database, 1))
            connection.execute(stop)
        errors = [future.exception(10) for future in futures]

    assert [type(error) for error in errors] == [DatabaseUnavailable] * 3
    assert len({id(error) for error in errors}) == 3
    with store.single() as tx:
        assert tx.connection.execute(b"SELECT FROM runs").fetchall() == []


def test_a_key_that_somebody_holds_back_holds_up_nobody_else(
    processor: Processor, database: Database, threads: ThreadPoolExecutor, plan_id: int
) -> None:
    with psycopg.connect(database.url) as theirs:
        columns = "plan_id, namespace, workflow, version, state, input, input_digest, idempotency_key, correlation_id"
        theirs.execute(
            f"INSERT INTO runs (id, {columns}, sinks_left) SELECT %s, id, namespace, workflow, version, 'pending', "
            "'1', '1', 'k', 'c', 1 FROM plans",
            [new_run_id()],
        )
        waiting = [threads.submit(processor.execute, a_submit(plan_id, idempotency_key="k")) for _ in range(AT_ONCE)]
        wait_until(lambda: are_blocked(database, AT_ONCE))

        answers = [threads.submit(processor.execute, a_submit(plan_id)).result(10) for _ in range(AT_ONCE + 1)]
        theirs.rollback()

    assert all(answer.created for answer in answers)
    assert sorted(future.result(10).created for future in waiting) == [False] * (AT_ONCE - 1) + [True]


def test_a_large_input_goes_alone(processor: Processor, database: Database, threads: ThreadPoolExecutor) -> None:
    plan_id = processor.register(compile_plan(graph(SHAPE)))
    with nobody_stores(database):
        submit_behind_others(processor, database, threads, [a_submit(plan_id) for _ in range(AT_ONCE)])
        large = threads.submit(processor.execute, a_submit(plan_id, f'"{"x" * LARGE}"'))
        wait_until(lambda: are_blocked(database, AT_ONCE + 1))

    assert large.result(10).created


def test_a_child_forked_while_others_are_stored_waits_for_none_of_them(
    processor: Processor, database: Database, threads: ThreadPoolExecutor, plan_id: int
) -> None:
    with nobody_stores(database):
        submit_behind_others(processor, database, threads, [a_submit(plan_id) for _ in range(AT_ONCE)])
        child = os.fork()
        if child == 0:
            # It has no thread of theirs, and nothing to store it with.
            processor._gathering._alone = lambda command: (Outcome(value=command.run_id), Told(frozenset()))
            os._exit(0 if processor.execute(a_submit(plan_id)) else 1)

    assert os.waitpid(child, 0)[1] == 0


def test_inline_subscribers_hear_of_each_run_once_and_in_the_thread_that_submitted_it(
    store: Store, database: Database, dispatcher: RecordingDispatcher, threads: ThreadPoolExecutor
) -> None:
    heard: list[tuple[str | None, int]] = []

    def inline(records: Sequence[EventRecord]) -> None:
        heard.extend((record.run_id, get_ident()) for record in records)

    announcer = Announcer(inline=inline, wanted=frozenset({"run.submitted"}))
    processor = Processor(store, dispatcher, announcer=announcer)
    plan_id = processor.register(compile_plan(graph(SHAPE)))
    submitted: list[tuple[str, int]] = []

    def submit(command: SubmitRun) -> None:
        processor.execute(command)
        submitted.append((command.run_id, get_ident()))

    commands = [a_submit(plan_id) for _ in range(20)]
    list(threads.map(submit, commands))

    assert sorted(heard) == sorted(submitted)
    assert len(heard) == 20
