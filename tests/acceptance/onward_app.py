"""A worker of the flows that go on in place; it notes Celery's signals of every task."""

from typing import Any

from celery import signals

from tests.acceptance import onward_flows
from tests.support.steps import announce_readiness, folder
from workflow_engine import Engine, Workflow

engine = Engine(workflows=[each for each in vars(onward_flows).values() if isinstance(each, Workflow)])
app = engine.install()
app.conf.update(worker_hijack_root_logger=True, worker_redirect_stdouts=False)
announce_readiness()


def _note(signal: str, task_id: str) -> None:
    with (folder() / "signals").open("a") as notes:
        notes.write(f"{signal} {task_id}\n")


@signals.task_prerun.connect(weak=False)
def _before(task_id: str, **_: Any) -> None:
    _note("prerun", task_id)


@signals.task_postrun.connect(weak=False)
def _after(task_id: str, state: str | None, **_: Any) -> None:
    _note(f"postrun-{state}", task_id)
