"""An engine for the length of one command."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from workflow_engine.bootstrap.engine import Engine
from workflow_engine.cli.attaching import settings_here


@contextmanager
def engine_here(*, with_workflows: bool = False) -> Iterator[Engine]:
    """Lend an engine; only ``with_workflows`` are the workflows' modules imported."""
    settings = settings_here()
    settings.require_database_url()
    settings.require_broker_url()
    if not with_workflows:
        settings = settings.model_copy(update={"workflows": ()})
    # The pool warns at every try to connect; the error that ends the command says the same once.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    engine = Engine(settings, application_name="wfe")
    try:
        yield engine
    finally:
        engine.close()
