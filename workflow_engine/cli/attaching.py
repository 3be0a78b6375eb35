"""Which database and broker a command uses: those in the settings, else those of a running ``wfe dev``."""

import os
import sys
from pathlib import Path

from workflow_engine.config import Settings
from workflow_engine.embedded.attach import find_running
from workflow_engine.errors import ConfigurationError


def settings_here() -> Settings:
    """Return the settings of a command that needs servers.

    Raises:
        ConfigurationError: no URL is set, and no ``wfe dev`` runs in this folder or a parent of it.
    """
    settings = settings_if_any()
    if settings.database_url is None and settings.broker_url is None:
        raise ConfigurationError(
            "no servers: start `wfe dev` in this folder or a parent of it, or set WFE_DATABASE_URL and WFE_BROKER_URL"
        )
    return settings


def settings_if_any() -> Settings:
    """Return the settings; where no URL is set, those of a running ``wfe dev``, if there is one."""
    settings = Settings()
    if settings.database_url is not None or settings.broker_url is not None:
        return settings
    running = find_running()
    if running is None:
        return settings
    if not settings.workflows and running.workflows:
        _make_importable(running.folder.parent)
    return Settings(
        database_url=running.database_url,
        broker_url=running.broker_url,
        workflows=settings.workflows or running.workflows,
        flower_url=settings.flower_url or running.links.get("Flower"),
    )


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment of a process that is to work with these settings, wherever they came from."""
    return {
        **os.environ,
        "WFE_DATABASE_URL": settings.require_database_url(),
        "WFE_BROKER_URL": settings.require_broker_url(),
        "WFE_WORKFLOWS": ",".join(settings.workflows),
    }


def _make_importable(project: Path) -> None:
    """Let this process, and those it becomes, import what ``wfe dev`` imports from the folder it runs in."""
    if str(project) in sys.path:
        return
    sys.path.append(str(project))
    paths = [path for path in (os.environ.get("PYTHONPATH"), str(project)) if path]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
