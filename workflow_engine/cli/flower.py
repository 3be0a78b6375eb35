"""``wfe flower``: become Flower, on a port that is free."""

import logging
import os
import socket
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Final

import click

from workflow_engine.cli.attaching import environment, settings_here
from workflow_engine.cli.become import become_celery
from workflow_engine.cli.process import start_logging
from workflow_engine.config.api import is_loopback
from workflow_engine.embedded.ports import LOOPBACK, free_port, is_free, require_port
from workflow_engine.errors import ConfigurationError

logger = logging.getLogger(__name__)

USUAL_PORT: Final = 5555
_NEIGHBOURS: Final = 100
_LOGINS: Final = frozenset({"basic-auth", "auth"})
_claims: Final[list[socket.socket]] = []


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": True})
@click.option("--address", envvar="FLOWER_ADDRESS", default=LOOPBACK, show_default=True, help="Listen here.")
@click.option(
    "--port",
    envvar="FLOWER_PORT",
    type=int,
    help=f"Listen here; by default {USUAL_PORT}, or the next free one.",
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def flower(address: str, port: int | None, options: Sequence[str]) -> None:
    """Serve Flower, the monitor of workers and tasks; steps carry the name `workflow.step`.

    Other options of Flower pass through: `--basic-auth=user:password`, `--url-prefix=flower`, `--persistent=True` …
    """
    require_flower()
    settings = settings_here()
    if not is_loopback(address) and not _has_login(options, os.environ):
        start_logging(settings)
        logger.warning("Flower listens on %s without a login: whoever reaches it may end tasks and workers", address)
    ours = [f"--address={address}", f"--port={choose_port(address, port)}"]
    become_celery("workflow_engine.cli.flower_app", ["flower", *options, *ours], environment(settings))


def require_flower() -> None:
    """Raise unless Flower is installed."""
    if find_spec("flower") is None:
        raise ConfigurationError("Flower is not installed: pip install 'celery-workflow-engine[flower]'")


def _has_login(options: Sequence[str], variables: Mapping[str, str]) -> bool:
    """Tell whether Flower is told to ask who somebody is: by option or variable, by password or by OAuth."""
    named = {option.lstrip("-").partition("=")[0].replace("_", "-") for option in options}
    return bool(_LOGINS & named) or any(variables.get(f"FLOWER_{name.upper().replace('-', '_')}") for name in _LOGINS)


def port_at_hand() -> int | None:
    """Return the port that FLOWER_PORT asks for, or None."""
    text = os.environ.get("FLOWER_PORT")
    if text is not None and not text.isdecimal():
        raise ConfigurationError(f"FLOWER_PORT is not a port number: {text!r}")
    return None if text is None else int(text)


def choose_port(address: str, wanted: int | None, usual: int = USUAL_PORT) -> int:
    """Return the port asked for, else the usual one or the next that is free."""
    if wanted is not None:
        if address == LOOPBACK:
            require_port(wanted)
        return wanted
    near = range(usual, usual + _NEIGHBOURS)
    return next((port for port in near if is_free(port) and _claim(port)), None) or free_port()


def _claim(port: int) -> bool:
    """Keep others who look for a port now from taking the same one: Flower listens only seconds later.

    The claim is a UDP socket of the same number; it ends with this process, or with the Flower it becomes.
    """
    claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        claim.bind((LOOPBACK, port))
    except OSError:
        claim.close()
        return False
    claim.set_inheritable(True)
    _claims.append(claim)
    return True
