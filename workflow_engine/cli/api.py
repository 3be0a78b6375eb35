"""``wfe api``: the process that answers HTTP."""

import logging
from contextlib import ExitStack, closing
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import click

from workflow_engine.bootstrap.engine import Engine
from workflow_engine.cli.attaching import settings_here
from workflow_engine.cli.process import present, start_logging
from workflow_engine.config import Settings
from workflow_engine.errors import ConfigurationError

logger = logging.getLogger(__name__)


@click.command()
@click.option("--host", help="Listen here; by default as WFE_API_HOST says.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Listen here; 0 is any free one.  [WFE_API_PORT]")
@click.option("--no-auth", is_flag=True, help="Let everybody do everything: only where nobody else can connect.")
@click.option(
    "--ready-file", type=click.Path(path_type=Path), help="A file that is there while it runs: for health checks."
)
def api(host: str | None, port: int | None, no_auth: bool, ready_file: Path | None) -> None:
    """Serve the HTTP API, until SIGTERM or Ctrl-C; its documentation is at /docs.

    What has begun is answered before it stops.
    """
    given = {"api_host": host, "api_port": port, "api_auth": "off" if no_auth else None}
    settings = settings_here()
    run_api(
        settings.model_copy(update={name: value for name, value in given.items() if value is not None}),
        ready_file=ready_file,
    )


def run_api(settings: Settings, *, ready_file: Path | None = None) -> None:
    """Serve the API in this process until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: a setting is missing or wrong, or the port is taken.
    """
    require_api()
    serving = import_module("workflow_engine.api.serving")  # FastAPI need not be there for other commands
    start_logging(settings)
    settings.require_broker_url()
    settings.require_database_url()
    settings.refuse_contradictions_of_api()
    with ExitStack() as stack:
        engine = stack.enter_context(closing(Engine(settings, application_name="wfe api", exposes_metrics=True)))
        app = import_module("workflow_engine.api.wiring").api_of(engine)
        listening = serving.listen(settings.api_host, settings.api_port)

        def when_up() -> None:
            stack.enter_context(present(ready_file))
            address = serving.address_of(listening)
            sentence = f"listening on {address} (documentation: {address}/docs)"
            if settings.log_format == "json":
                logger.info(sentence)
            else:
                click.echo(sentence)

        serving.serve(app, listening, when_up=when_up)


def require_api() -> None:
    """Raise unless what the API needs is installed."""
    if find_spec("fastapi") is None or find_spec("uvicorn") is None:
        raise ConfigurationError("the API is not installed: pip install 'celery-workflow-engine[api]'")
