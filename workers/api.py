"""The API: ``python -m workers.api``, or with a server of yours ``uvicorn workers.api:app``."""

from workflow_engine import Engine, Settings
from workflow_engine.api.wiring import api_of
from workflow_engine.cli.api import run_api

if __name__ == "__main__":
    run_api(Settings())
else:
    app = api_of(Engine(Settings(), application_name="wfe api", exposes_metrics=True))
