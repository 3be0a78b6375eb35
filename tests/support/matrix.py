"""Which broker and which pool the tests of this session are about, as the environment says.

It is read when this module is imported: our variables are gone from the environment before the first test.
"""

import os
from collections.abc import Iterable, Sequence
from typing import Final

POOLS: Final = ("prefork", "threads", "gevent", "solo")

POOL: Final = os.environ.get("WFE_TEST_POOL") or "prefork"
"""What a worker has for which its test names no pool."""

IS_POOL_NAMED: Final = "WFE_TEST_POOL" in os.environ

if POOL not in POOLS:
    raise ValueError(f"WFE_TEST_POOL: {POOL!r} is none of {', '.join(POOLS)}")

BROKER_URL: Final = os.environ.get("WFE_BROKER_URL") or None
"""The broker of this session; without one, an embedded Valkey is."""


def is_rabbitmq(url: str | None) -> bool:
    """Tell whether a broker speaks AMQP; all others that we use speak Redis' language."""
    return (url or "").startswith(("amqp://", "amqps://", "pyamqp://"))


def broker_name() -> str:
    """Return what the session's broker is called in a report."""
    if BROKER_URL is None:
        return "embedded Valkey"
    return "RabbitMQ" if is_rabbitmq(BROKER_URL) else BROKER_URL.partition(":")[0]


def those_asked_for(pools: Iterable[str]) -> list[str]:
    """Return the pools with which a test is repeated: only the session's, if it is about one."""
    return [pool for pool in pools if pool == POOL or not IS_POOL_NAMED]


def pool_of(options: Sequence[str]) -> str:
    """Return the pool of a worker with these options: the session's, unless they name one."""
    named = [options[place + 1] for place, option in enumerate(options) if option in {"-P", "--pool"}]
    return named[-1] if named else POOL
