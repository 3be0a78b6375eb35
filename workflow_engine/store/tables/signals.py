"""Signals: what somebody told a run."""

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Identity, Index, Integer, Table, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSON

from workflow_engine.store.tables.metadata import metadata
from workflow_engine.store.tables.runs import NOW

signals = Table(
    "signals",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("run_id", Uuid, ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("name", Text, nullable=False),
    Column("payload", JSON),
    Column("sent_at", DateTime(timezone=True), nullable=False, server_default=NOW),
    Column("actor", Text),
    Column("key", Text),
    Column("consumed_by", Integer),
    # take_signal.sql
    Index("signals_kept_idx", "run_id", "name", "id", postgresql_where=text("consumed_by IS NULL")),
    # keep_signal.sql, find_signal.sql
    Index("signals_key", "run_id", "key", unique=True, postgresql_where=text("key IS NOT NULL")),
    # the foreign key, when runs are deleted
    Index("signals_run_idx", "run_id"),
    comment="What somebody told a run; each goes to one step, whose position is consumed_by. Goes with its run.",
)
