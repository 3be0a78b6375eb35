"""What subscribers cost the steps: diamonds with a relay that delivers every event as it comes, and without one.

The relay shares the machine's processors with everything else, so what it costs is its own work too, not only the hot
path's.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event as Flag
from time import monotonic
from typing import Final

import psycopg

from benchmarks.configuration import Configuration
from benchmarks.cpu import Meter
from benchmarks.servers import Servers
from benchmarks.session import DIAMONDS, Round, Session
from benchmarks.sides import Timing
from workflow_engine import EventRecord, Subscriber

STEPS: Final = DIAMONDS * 4
PATIENCE: Final = 120.0
_ROOT: Final = Path(__file__).parents[1]
_AT_HEAD: Final = """
SELECT count(*) FILTER (WHERE position >= (SELECT coalesce(max(id), 0) FROM events)) = cardinality(%(names)s::text[])
  FROM cursors
 WHERE subscriber = ANY(%(names)s::text[])
   AND owner IS NOT NULL  -- a relay that is still starting would be charged for that
"""


class Everything(Subscriber):
    """Takes every event and does nothing."""

    name = "everything"
    subscribe_to = ("*",)

    def on_event(self, event: EventRecord) -> None:
        """Take one."""


class RelayBehind(Exception):
    """It did not catch up in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """A relay's subscribers, and the environment that makes it have them."""

    names: Sequence[str]
    variables: Mapping[str, str]
    file: str = "{}"


WAYS: Final[Mapping[str, Subscribed | None]] = {
    "none": None,
    "one that does nothing": Subscribed(
        names=["everything"],
        variables={"WFE_SUBSCRIBERS": "benchmarks.subscribers:Everything"},
        file="subscribers: {audit: {enabled: false}}",
    ),
    "that, audit and metrics": Subscribed(
        names=["everything", "audit", "metrics"],
        variables={"WFE_SUBSCRIBERS": "benchmarks.subscribers:Everything", "WFE_METRICS_PORT": "0"},
    ),
}


def subscriber_round(session: Session, servers: Servers, number: int) -> Round:
    """Return a timing for each set of subscribers; which comes first alternates."""
    names = list(WAYS) if number % 2 == 0 else list(WAYS)[::-1]
    timings = {name: _timing(WAYS[name], session, servers) for name in names}
    return {name: timings[name] for name in WAYS}


def _timing(subscribed: Subscribed | None, session: Session, servers: Servers) -> Timing:
    if subscribed is None:
        return session.engine.run(session.engine.diamonds(DIAMONDS))
    with _relay(subscribed, servers.configuration, servers.folder) as pid:
        _wait_until_caught_up(subscribed, servers.configuration)
        meter = Meter({"relay": pid})
        before = meter.read()
        timing = session.engine.run(session.engine.diamonds(DIAMONDS))
        _wait_until_caught_up(subscribed, servers.configuration)
        used = meter.read().get("relay", 0.0) - before.get("relay", 0.0)
    return replace(timing, cpu={**timing.cpu, "relay": used})


@contextmanager
def _relay(subscribed: Subscribed, configuration: Configuration, folder: Path) -> Iterator[int]:
    file = folder / "subscribers.yaml"
    file.write_text(subscribed.file)
    variables = {
        "WFE_DATABASE_URL": configuration.database_url,
        "WFE_BROKER_URL": configuration.broker_url,
        "WFE_SUBSCRIBERS_FILE": str(file),
        **subscribed.variables,
    }
    with (folder / "relay.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.relay"], cwd=_ROOT, env={**os.environ, **variables}, stderr=log
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(15)


def _wait_until_caught_up(subscribed: Subscribed, configuration: Configuration) -> None:
    deadline = monotonic() + PATIENCE
    with psycopg.connect(configuration.database_url, autocommit=True) as connection:
        while monotonic() < deadline:
            row = connection.execute(_AT_HEAD, {"names": list(subscribed.names)}).fetchone()
            if row is not None and row[0]:
                return
            Flag().wait(0.1)
    raise RelayBehind(f"the relay has not caught up within {PATIENCE:g} s")
