"""Somebody's Celery app, with results in its broker and tasks of its own, that runs workflows too."""

import os
from types import SimpleNamespace
from typing import Any

from celery import Celery, Task

from tests.support.matrix import is_rabbitmq
from tests.support.steps import announce_readiness
from workflow_engine import Retry, Settings, Workflow, install


def create(settings: Settings | None = None) -> SimpleNamespace:
    """Return the app, its tasks, the engine on it and their workflow."""
    broker = os.environ["THEIR_BROKER"]
    backend = "rpc://" if is_rabbitmq(broker) else broker
    app = Celery("theirs", broker=broker, backend=backend, set_as_current=False)
    app.conf.update(
        task_default_queue=os.environ["THEIR_QUEUE"],
        broker_connection_retry_on_startup=True,
        worker_prefetch_multiplier=1,
    )
    tasks = _tasks(app)
    workflow = _workflow(tasks)
    engine = install(app, [workflow, _asking(tasks)], settings=settings)
    return SimpleNamespace(app=app, engine=engine, workflow=workflow, **vars(tasks))


def _tasks(app: Celery) -> SimpleNamespace:
    retrying = {"max_retries": 2, "default_retry_delay": 0.2}
    return SimpleNamespace(
        add=app.task(name="theirs.add")(_add),
        multiply=app.task(name="theirs.multiply")(_multiply),
        whoami=app.task(name="theirs.whoami", bind=True)(_whoami),
        asks_again=app.task(name="theirs.asks_again", bind=True, **retrying)(_asks_again),
        retried=app.task(name="theirs.retried", autoretry_for=(ConnectionError,), retry_backoff=False, **retrying)(
            _retried
        ),
    )


def _add(x: int, y: int) -> int:
    """Add two numbers."""
    return x + y


def _multiply(*numbers: int, by: int = 1) -> int:
    result = by
    for number in numbers:
        result *= number
    return result


def _whoami(task: Task) -> str:
    return str(task.name)


def _asks_again(task: Task, key: str, failures: int) -> int:
    calls = _count(key)
    if calls <= failures:
        raise task.retry(exc=ConnectionError(f"call {calls}"))
    return calls


def _retried(key: str, failures: int) -> int:
    calls = _count(key)
    if calls <= failures:
        raise ConnectionError(f"call {calls}")
    return calls


def _count(key: str) -> int:
    """Return how often this was asked with that key, this time included."""
    path = os.path.join(os.environ["STAGE_FOLDER"], f"count-{key}")  # noqa: PTH118  as their code would
    with open(path, "a+") as file:  # noqa: PTH123
        file.write("x")
        file.flush()
        return file.tell()


def _workflow(tasks: SimpleNamespace) -> Workflow:
    """Tasks as steps: with the input as keywords, with parents' results in order, and with arguments of their own."""
    workflow = Workflow("theirs")
    workflow.step(task=tasks.add)
    workflow.step(task=tasks.add, name="add_ten", args=lambda ctx: [ctx.input["x"], 10])
    workflow.step(task=tasks.multiply, after=["add", "add_ten"])
    workflow.step(task=tasks.multiply, name="scale", after=["add"], args=[2], kwargs={"by": 50})
    workflow.step(task=tasks.whoami, after=["multiply"], args=[])
    return workflow


def _asking(tasks: SimpleNamespace) -> Workflow:
    """One task, chosen by the input, that asks to be tried again."""
    workflow = Workflow("asking", on_failure="continue")
    arguments: Any = {"kwargs": lambda ctx: {"key": f"{ctx.run_id}-{ctx.step}", "failures": ctx.input}}
    workflow.step(task=tasks.asks_again, **arguments)
    workflow.step(task=tasks.retried, **arguments)
    workflow.step(task=tasks.retried, name="ours", retry=Retry(max_attempts=1), **arguments)
    return workflow


if "THEIR_BROKER" in os.environ and "STAGE_WORKER" in os.environ:  # `celery -A tests.acceptance.their_app worker`
    announce_readiness()
    app = create().app
