"""An engine in, the API's application out: for ``wfe api`` and ``workers/api.py``."""

from fastapi import FastAPI

from workflow_engine.api.app import create_api
from workflow_engine.api.caller import everybody
from workflow_engine.api.parts import Identify, Parts
from workflow_engine.bootstrap import Engine


def api_of(engine: Engine, identify: Identify = everybody) -> FastAPI:
    """Return the application on an engine's connections; whoever made the engine closes it."""
    return create_api(Parts(settings=engine.settings, client=engine.client, identify=identify))
