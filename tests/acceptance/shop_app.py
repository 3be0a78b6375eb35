"""The Celery app of workers that run the example of an order."""

from examples.order_fulfilment import orders
from tests.support.steps import announce_readiness
from workflow_engine import Engine

app = Engine(workflows=[orders]).install()
app.conf.update(worker_hijack_root_logger=True, worker_redirect_stdouts=False)
announce_readiness()
