"""The append-only event log."""

from sqlalchemy import BigInteger, Column, DateTime, Identity, Index, Integer, SmallInteger, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from workflow_engine.store.tables.metadata import metadata
from workflow_engine.store.tables.runs import NOW

events = Table(
    "events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("run_id", Uuid, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("version", SmallInteger, nullable=False, server_default="1"),
    Column("step", Text),
    Column("attempt", Integer),
    Column("occurred_at", DateTime(timezone=True), nullable=False, server_default=NOW),
    Column("data", JSONB, nullable=False),
    Index("events_run_idx", "run_id", "id"),
    comment="A fact a row, written in the transaction of the change it tells of.",
)
