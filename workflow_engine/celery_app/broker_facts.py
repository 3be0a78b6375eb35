"""What a broker says of itself, as far as its protocol lets anybody ask."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from celery import Celery

from workflow_engine.celery_app.publishing import NOT_TAKEN, PATIENCE, PublishingConnections
from workflow_engine.errors import BrokerUnavailable

_MASTER: Final = "master"


class BrokerKind(StrEnum):
    """What carries the messages."""

    REDIS = "Redis"
    VALKEY = "Valkey"
    RABBITMQ = "RabbitMQ"
    OTHER = "another broker"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFacts:
    """A broker; what it does not tell is None."""

    kind: BrokerKind
    version: str | None = None
    memory_limit: int | None = None
    """Bytes; 0: none."""
    memory_used: int | None = None
    eviction: str | None = None
    """Redis's ``maxmemory_policy``."""
    keeps_log: bool | None = None
    """Whether each write goes to an append-only file."""
    is_writing: bool | None = None
    """Whether the last write to its disk went well."""
    is_replica: bool | None = None
    is_cluster: bool | None = None
    connections: int | None = None
    connection_limit: int | None = None


def facts_of_broker(app: Celery, *, patience: float = PATIENCE) -> BrokerFacts:
    """Return what the broker to which ``app`` publishes says of itself.

    Raises:
        BrokerUnavailable: it does not answer.
    """
    try:
        with PublishingConnections(app, patience).anew() as connection:
            return _READERS.get(connection.transport.driver_type, _other)(connection)
    except NOT_TAKEN as error:
        raise BrokerUnavailable(f"{type(error).__name__}: {error}") from error


def _redis(connection: Any) -> BrokerFacts:
    info: Mapping[str, Any] = connection.default_channel.client.info()
    is_valkey = info.get("server_name") == "valkey"
    return BrokerFacts(
        kind=BrokerKind.VALKEY if is_valkey else BrokerKind.REDIS,
        version=str(info.get("valkey_version") or info.get("redis_version") or ""),
        memory_limit=info.get("maxmemory"),
        memory_used=info.get("used_memory"),
        eviction=info.get("maxmemory_policy"),
        keeps_log=_flag(info.get("aof_enabled")),
        is_writing="err" not in {info.get("aof_last_write_status"), info.get("rdb_last_bgsave_status")},
        is_replica=info.get("role") not in {None, _MASTER},
        is_cluster=_flag(info.get("cluster_enabled")),
        connections=info.get("connected_clients"),
        connection_limit=info.get("maxclients"),
    )


def _amqp(connection: Any) -> BrokerFacts:
    properties: Mapping[str, Any] = connection.connection.server_properties
    is_rabbit = str(properties.get("product", "")) == "RabbitMQ"
    return BrokerFacts(
        kind=BrokerKind.RABBITMQ if is_rabbit else BrokerKind.OTHER, version=str(properties.get("version", ""))
    )


def _other(_: Any) -> BrokerFacts:
    return BrokerFacts(kind=BrokerKind.OTHER)


def _flag(value: Any) -> bool | None:
    return None if value is None else bool(value)


_READERS: Final = {"redis": _redis, "amqp": _amqp}
