"""The audit log, in monthly partitions; where its hash chain stands, and where retention cut it."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Date, DateTime, Index, Integer, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import BYTEA, JSONB

from workflow_engine.store.tables.metadata import metadata
from workflow_engine.store.tables.runs import NOW

audit_log = Table(
    "audit_log",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("event_id", Uuid, nullable=False),
    Column("event", Text, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("run_id", Uuid),
    Column("workflow", Text),
    Column("step", Text),
    Column("attempt", Integer),
    Column("actor", Text, nullable=False),
    Column("correlation_id", Text),
    Column("occurred_at", DateTime(timezone=True), primary_key=True),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("data", JSONB, nullable=False),
    Column("previous_hash", BYTEA, nullable=False),
    Column("hash", BYTEA, nullable=False),
    # find_audited.sql, and pages by time. The id alone cannot be unique in a partitioned table; it is made of the time,
    # among others. The time comes first: a large fan-out has thousands of events of one moment.
    Index("audit_log_event_key", "occurred_at", "event_id", unique=True),
    Index("audit_log_run_idx", "run_id", "occurred_at", "number"),
    Index("audit_log_actor_idx", "actor", "occurred_at", "number"),
    comment="Every event once, in a hash chain by number; rows are added and never changed.",
    postgresql_partition_by="RANGE (occurred_at)",
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("is_only", Boolean, primary_key=True, server_default="true"),
    Column("number", BigInteger, nullable=False),
    Column("hash", BYTEA, nullable=False),
    CheckConstraint("is_only", name="only"),
    comment="One row: the last number and hash of the audit log. Who adds to the log locks it.",
)

audit_anchors = Table(
    "audit_anchors",
    metadata,
    Column("first_number", BigInteger, primary_key=True, autoincrement=False),
    Column("previous_hash", BYTEA, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("hash", BYTEA, nullable=False),
    Column("month", Date, nullable=False),
    Column("dropped_at", DateTime(timezone=True), nullable=False, server_default=NOW),
    CheckConstraint("number >= first_number", name="numbers"),
    comment="Audit rows that retention has dropped, a sequence of numbers each: the chain goes on across them.",
)
