"""The append-only event log, in monthly partitions."""

from sqlalchemy import BigInteger, Column, DateTime, Index, Integer, SmallInteger, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB

from workflow_engine.store.tables.metadata import metadata
from workflow_engine.store.tables.runs import NOW

events = Table(
    "events",
    metadata,
    # A sequence, not an identity: partitioned tables have identities from PostgreSQL 17 on only.
    Column("id", BigInteger, primary_key=True, autoincrement=False, server_default=text("nextval('events_id_seq')")),
    Column("run_id", Uuid),
    Column("plan_id", BigInteger),
    Column("namespace", Text, nullable=False),
    Column("correlation_id", Text),
    Column("traceparent", Text),
    Column("name", Text, nullable=False),
    Column("version", SmallInteger, nullable=False, server_default="1"),
    Column("step", Text),
    Column("attempt", Integer),
    Column("cause", Text),
    Column("occurred_at", DateTime(timezone=True), primary_key=True, server_default=NOW),
    Column("data", JSONB, nullable=False),
    Index("events_run_idx", "run_id", "id"),
    comment="A fact a row, written in the transaction of the change it tells of.",
    postgresql_partition_by="RANGE (occurred_at)",
)

deferred_events = Table(
    "deferred_events",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("plan_id", BigInteger, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("traceparent", Text),
    Column("name", Text, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
    Column("data", JSONB, nullable=False),
    comment="The events of submits inside a caller's transaction, until its commit; else empty.",
)
