"""An engine in, the API's application out: for ``wfe api`` and ``workers/api.py``."""

from fastapi import FastAPI

from workflow_engine.api.app import create_api
from workflow_engine.api.guarding import guard
from workflow_engine.api.measuring import Measuring
from workflow_engine.api.parts import Parts
from workflow_engine.api.readiness import Readiness
from workflow_engine.api.streams.hub import Hub
from workflow_engine.api.streams.live import Live
from workflow_engine.bootstrap.api import metrics_of, probes_of
from workflow_engine.bootstrap.engine import Engine
from workflow_engine.celery_app.flower import FlowerLinks
from workflow_engine.client.stream_tickets import StreamTickets
from workflow_engine.relay.history import History
from workflow_engine.relay.live import LiveLog


def api_of(engine: Engine) -> FastAPI:
    """Return the application on an engine's connections; whoever made the engine closes it.

    Raises:
        ConfigurationError: the settings let nobody in, or too many.
    """
    settings, store, metrics = engine.settings, engine.live_store, metrics_of(engine)
    hub = Hub(LiveLog(store, poll_seconds=settings.poll_seconds), History(store), settings.streams)
    live = Live(hub=hub, tickets=StreamTickets(engine.store))
    parts = Parts(
        settings=settings,
        client=engine.client,
        readiness=Readiness(probes_of(engine)),
        metrics=metrics,
        live=live,
        flower=None if settings.flower_url is None else FlowerLinks(settings.flower_url),
        lives=[hub.life],
    )
    app = create_api(parts)
    guard(app, settings, live.tickets)
    if metrics is not None:
        app.add_middleware(Measuring, metrics=metrics)
    return app
