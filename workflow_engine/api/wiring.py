"""An engine in, the API's application out: for ``wfe api`` and ``workers/api.py``."""

from fastapi import FastAPI

from workflow_engine.api.app import create_api
from workflow_engine.api.guarding import guard
from workflow_engine.api.parts import Parts
from workflow_engine.bootstrap import Engine


def api_of(engine: Engine) -> FastAPI:
    """Return the application on an engine's connections; whoever made the engine closes it.

    Raises:
        ConfigurationError: the settings let nobody in, or too many.
    """
    app = create_api(Parts(settings=engine.settings, client=engine.client))
    guard(app, engine.settings)
    return app
