"""The composition root: settings in; wired clients, Celery apps, coordinators and relays out."""

from workflow_engine.bootstrap.clients import AsyncClient, Client
from workflow_engine.bootstrap.engine import Engine, install, settings_at_hand

__all__ = ["AsyncClient", "Client", "Engine", "install", "settings_at_hand"]
