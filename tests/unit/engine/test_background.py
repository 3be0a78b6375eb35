"""What nobody waits for is done in its order, all of it before the end, and bounded in between."""

import subprocess
import sys
from contextvars import ContextVar
from threading import Event, Thread

import pytest

from workflow_engine.engine.background import Background

WHOSE: ContextVar[str] = ContextVar("whose")


def test_work_is_done_in_its_order_and_in_the_context_of_who_brought_it() -> None:
    background, done = Background(), []
    WHOSE.set("the caller's")

    for number in range(20):
        background.do(lambda number=number: done.append((number, WHOSE.get())))
    background.close()

    assert done == [(number, "the caller's") for number in range(20)]


def test_whoever_brings_more_than_may_wait_waits() -> None:
    background, gate, brought = Background(waiting=2), Event(), Event()
    background.do(gate.wait)
    background.do(lambda: None)

    third = Thread(target=lambda: (background.do(lambda: None), brought.set()))
    third.start()

    assert not brought.wait(0.05)
    gate.set()
    assert brought.wait(5)
    third.join()
    background.close()


def test_what_goes_wrong_is_told_and_holds_nothing_up(caplog: pytest.LogCaptureFixture) -> None:
    background, done = Background(waiting=1), []

    background.do(lambda: 1 // 0)
    background.do(lambda: done.append(1))
    background.close()

    assert done == [1]
    assert "it is found and done again: integer division or modulo by zero" in caplog.text


def test_it_goes_on_after_a_close_and_a_process_that_ends_does_all_first() -> None:
    program = (
        "from threading import Event\n"
        "from workflow_engine.engine.background import Background\n"
        "background = Background()\n"
        "background.do(lambda: print('first'))\n"
        "background.close()\n"
        "background.do(lambda: (Event().wait(0.05), print('second')))\n"
    )

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)

    assert ended.stdout.split() == ["first", "second"]
