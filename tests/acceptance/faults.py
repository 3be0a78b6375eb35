"""Fault points for workers of tests: a process dies, once, at a named moment of a step's life."""

import os
import signal
from collections.abc import Callable, Sequence
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded

from tests.support.steps import once
from workflow_engine import DatabaseUnavailable, Engine
from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.model.commands import ClaimStep, CompleteStep

POINTS = ("after_claim", "before_commit", "before_publish", "between_publishes", "before_ack")
"""Where a process dies."""


def arm(engine: Engine, point: str) -> None:
    """Make the fault happen in this process, unless it has in another one of the stage."""
    {
        "answer_lost": _answer_lost,
        "late_timeout": _late_timeout,
        "after_claim": _after_claim,
        "before_commit": _before_commit,
        "before_publish": _before_publish,
        "between_publishes": _between_publishes,
        "before_ack": _before_ack,
    }[point](engine)


def _die(point: str) -> None:
    if once(point):
        os.kill(os.getpid(), signal.SIGKILL)


def _around_execute(engine: Engine, act: Callable[[Callable[[Any], Any], Any], Any]) -> None:
    execute = engine.processor.execute
    engine.processor.execute = lambda command: act(execute, command)  # type: ignore[method-assign]


def _after_claim(engine: Engine) -> None:
    def act(execute: Callable[[Any], Any], command: Any) -> Any:
        answer = execute(command)
        if isinstance(command, ClaimStep):
            _die("after_claim")
        return answer

    _around_execute(engine, act)


def _before_commit(engine: Engine) -> None:
    def act(execute: Callable[[Any], Any], command: Any) -> Any:
        if isinstance(command, CompleteStep):
            _die("before_commit")
        return execute(command)

    _around_execute(engine, act)


def _before_ack(engine: Engine) -> None:
    def act(execute: Callable[[Any], Any], command: Any) -> Any:
        answer = execute(command)
        if isinstance(command, CompleteStep):
            _die("before_ack")
        return answer

    _around_execute(engine, act)


def _answer_lost(engine: Engine) -> None:
    """The connection breaks after a completion's commit, before its answer."""
    _after_commit(engine, "answer_lost", DatabaseUnavailable("the connection broke after the commit"))


def _late_timeout(engine: Engine) -> None:
    """The step's time limit strikes when its handler is done and its completion committed."""
    _after_commit(engine, "late_timeout", SoftTimeLimitExceeded())


def _after_commit(engine: Engine, point: str, error: Exception) -> None:
    handle = engine.processor._handle

    def forget_the_answer(command: Any) -> Any:
        outcome = handle(command)
        if isinstance(command, CompleteStep) and once(point):
            raise error
        return outcome

    engine.processor._handle = forget_the_answer  # type: ignore[method-assign]


def _before_publish(engine: Engine) -> None:
    dispatch = engine.dispatcher.dispatch

    def die_first(steps: Sequence[Dispatch]) -> None:
        _die("before_publish")
        dispatch(steps)

    engine.dispatcher.dispatch = die_first  # type: ignore[method-assign]


def _between_publishes(engine: Engine) -> None:
    dispatch = engine.dispatcher.dispatch

    def die_halfway(steps: Sequence[Dispatch]) -> None:
        for step in steps:
            dispatch([step])
            if len(steps) > 1:
                _die("between_publishes")

    engine.dispatcher.dispatch = die_halfway  # type: ignore[method-assign]
