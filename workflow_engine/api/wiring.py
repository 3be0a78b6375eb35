"""An engine in, the API's application out: for ``wfe api`` and ``workers/api.py``."""

from fastapi import FastAPI

from workflow_engine.api.app import create_api
from workflow_engine.api.guarding import guard
from workflow_engine.api.measuring import Measuring
from workflow_engine.api.parts import Parts
from workflow_engine.api.readiness import Readiness
from workflow_engine.bootstrap import Engine
from workflow_engine.bootstrap.api import metrics_of, probes_of


def api_of(engine: Engine) -> FastAPI:
    """Return the application on an engine's connections; whoever made the engine closes it.

    Raises:
        ConfigurationError: the settings let nobody in, or too many.
    """
    metrics = metrics_of(engine)
    parts = Parts(
        settings=engine.settings, client=engine.client, readiness=Readiness(probes_of(engine)), metrics=metrics
    )
    app = create_api(parts)
    guard(app, engine.settings)
    if metrics is not None:
        app.add_middleware(Measuring, metrics=metrics)
    return app
