"""Ports of 127.0.0.1."""

import socket
import sys

from workflow_engine.errors import ConfigurationError

LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """Tell whether a server could listen on ``port`` now."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
        except OSError:
            return False
    return sys.platform == "linux" or not _somebody_answers(port)


def _somebody_answers(port: int) -> bool:
    """Look for a server on all addresses, beside which macOS lets us bind."""
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def free_port(preferred: int | None = None) -> int:
    """Return ``preferred`` if it is free, else a free port of the system's choice."""
    if preferred is not None and is_free(preferred):
        return preferred
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        port: int = listener.getsockname()[1]
        return port


def require_port(port: int) -> None:
    """Raise unless a server could listen on ``port``, which somebody asked for by number."""
    if not 0 < port < 65536:  # noqa: PLR2004 - what a port is
        raise ConfigurationError(f"port {port} is not a port number")
    if not is_free(port):
        raise ConfigurationError(f"port {port} of {LOOPBACK} is in use; choose another or none")
