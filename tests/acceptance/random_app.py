"""A worker for the random workflows."""

from tests.support.random_dags import WORKFLOWS
from tests.support.steps import announce_readiness
from workflow_engine import Engine

app = Engine(workflows=WORKFLOWS).install()
announce_readiness()
