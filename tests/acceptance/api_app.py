"""The Celery app of workers whose steps are HTTP calls."""

from tests.acceptance.api_flows import calls
from tests.support.steps import announce_readiness
from workflow_engine import Engine

app = Engine(workflows=[calls]).install()
app.conf.update(worker_hijack_root_logger=True, worker_redirect_stdouts=False)
announce_readiness()
