"""The Celery app of these tests' workers; the environment says where and, if something is to break, what."""

import os
from datetime import timedelta

from celery import signals

from tests.acceptance import faults, flows, plain_tasks
from tests.support.steps import announce_readiness
from workflow_engine import Engine, Workflow
from workflow_engine.celery_app import leases, runtime

workflows = [each for each in vars(flows).values() if isinstance(each, Workflow)]
absent = os.environ.get("STAGE_WITHOUT")
if absent:
    runtime._WITHOUT_DEFINITION = timedelta(seconds=0.5)  # a test has no ten seconds

engine = Engine(workflows=[each for each in workflows if each.name != absent])
app = engine.install()
app.conf.update(worker_hijack_root_logger=True, worker_redirect_stdouts=False)
announce_readiness()
plain_tasks.register(app)

settled = os.environ.get("STAGE_SETTLED_SECONDS")
if settled:
    leases._SETTLED = timedelta(seconds=float(settled))

points = os.environ.get("STAGE_FAULTS", "").split()


def _arm(**_: object) -> None:
    for point in points:
        faults.arm(engine, point)


signals.worker_process_init.connect(_arm, weak=False)  # where steps run: a worker's main process is not to die
