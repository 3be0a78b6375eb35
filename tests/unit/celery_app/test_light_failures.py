"""What a failed task leaves behind is small, and gone as soon as nobody needs it."""

import gc
import logging
import pickle
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from celery.app.trace import build_tracer
from celery.exceptions import Retry

from workflow_engine.celery_app.light_failures import lighten

LIGHT = 10_000
"""Bytes; with the copied frames it would be three times as many, and more where the handler is deeper down."""


class Fell(Exception):
    """What a task raises."""


@pytest.fixture
def without_collections() -> Iterator[None]:
    """Garbage in cycles stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def trace(make: Callable[[], Exception]) -> Any:
    """Run a task that raises, as a worker does, and return the tracer's answer."""
    app = Celery("light", broker="memory://", set_as_current=False)

    @app.task(name="light.fails", ignore_result=True, shared=False)
    def fails() -> None:
        raise make() from Fell("the cause")

    return build_tracer("light.fails", app.tasks["light.fails"], app=app)("an-id", [], {})


@pytest.mark.parametrize(
    "make", [lambda: Fell("it fell"), lambda: Retry(exc=Fell("it fell"), when=1)], ids=["failure", "retry"]
)
def test_a_failure_is_small_and_tells_all_the_same(make: Callable[[], Exception]) -> None:
    result = lighten(trace(make))[0]

    told = pickle.loads(pickle.dumps(result))

    assert len(pickle.dumps(result)) < LIGHT
    assert "the cause" in told.traceback
    assert "in fails" in told.traceback


def test_a_failure_leaves_no_cycle(without_collections: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger("celery.app.trace"), "disabled", True)  # pytest keeps what is logged
    answer = lighten(trace(lambda: Fell("it fell")))
    gone = weakref.ref(answer[1].retval)

    del answer

    assert gone() is None


def test_a_success_is_left_alone() -> None:
    app = Celery("light", broker="memory://", set_as_current=False)

    @app.task(name="light.works", ignore_result=True, shared=False)
    def works() -> int:
        return 17

    answer = build_tracer("light.works", app.tasks["light.works"], app=app)("an-id", [], {})

    assert lighten(answer) is answer
    assert answer[0] == 17
