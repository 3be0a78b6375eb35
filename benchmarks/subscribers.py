"""What subscribers cost the steps: diamonds with a relay that delivers every event as it comes, and without one.

The relay has the library's audit and metrics, and a subscriber that takes every event and does nothing. It shares the
machine's processors with everything else, so the cost is that of its work too, not only of the hot path's.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event as Flag
from time import monotonic
from typing import Final

import psycopg

from benchmarks.configuration import Configuration
from benchmarks.servers import Servers
from benchmarks.session import DIAMONDS, Session
from workflow_engine import EventRecord, Subscriber

PATIENCE: Final = 120.0
_ROOT: Final = Path(__file__).parents[1]
_BEHIND: Final = """
SELECT (SELECT count(*) FROM cursors) = 0
    OR (SELECT min(position) FROM cursors) < (SELECT coalesce(max(id), 0) FROM events)
"""


class Everything(Subscriber):
    """Takes every event and does nothing."""

    name = "everything"
    subscribe_to = ("*",)

    def on_event(self, event: EventRecord) -> None:
        """Take one."""


class RelayBehind(Exception):
    """It did not catch up in time."""


def subscriber_round(session: Session, servers: Servers, number: int) -> Mapping[str, float]:
    """Return steps a second without and with subscribers; which comes first alternates."""
    ways = {"without": _without, "with": _with}
    return {name: ways[name](session, servers) for name in (ways if number % 2 == 0 else reversed(ways))}


def _without(session: Session, servers: Servers) -> float:
    del servers
    timing = session.engine.run(session.engine.diamonds(DIAMONDS))
    return DIAMONDS * 4 / timing.finished


def _with(session: Session, servers: Servers) -> float:
    with _relay(servers.configuration, servers.folder):
        _wait_until_caught_up(servers.configuration)
        rate = _without(session, servers)
        _wait_until_caught_up(servers.configuration)
    return rate


@contextmanager
def _relay(configuration: Configuration, folder: Path) -> Iterator[None]:
    variables = {
        "WFE_DATABASE_URL": configuration.database_url,
        "WFE_BROKER_URL": configuration.broker_url,
        "WFE_SUBSCRIBERS": "benchmarks.subscribers:Everything",
        "WFE_METRICS_PORT": "0",
    }
    with (folder / "relay.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.relay"], cwd=_ROOT, env={**os.environ, **variables}, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(15)


def _wait_until_caught_up(configuration: Configuration) -> None:
    deadline = monotonic() + PATIENCE
    with psycopg.connect(configuration.database_url, autocommit=True) as connection:
        while monotonic() < deadline:
            row = connection.execute(_BEHIND).fetchone()
            if row is not None and not row[0]:
                return
            Flag().wait(0.1)
    raise RelayBehind(f"the relay has not caught up within {PATIENCE:g} s")
