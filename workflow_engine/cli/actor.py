"""Who did it: the option of commands that leave a trace."""

import getpass
import socket

import click


def own_name() -> str:
    """Return whoever runs this, as ``user@host``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


actor_option = click.option("--actor", default=own_name, show_default="user@host", help="Who did it, for the audit.")
