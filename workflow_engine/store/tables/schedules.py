"""Schedules, and what became of each of their occurrences."""

from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, ForeignKey, Identity, Index, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSON, JSONB

from workflow_engine.store.tables.metadata import metadata
from workflow_engine.store.tables.runs import NOW

MOMENT = DateTime(timezone=True)

schedules = Table(
    "schedules",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("namespace", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("version", Text),
    Column("input", JSON),
    Column("input_digest", Text, nullable=False),
    Column("options", JSONB, nullable=False),
    Column("cron", Text),
    Column("rrule", Text),
    Column("time_zone", Text, nullable=False),
    Column("starts_at", MOMENT),
    Column("ends_at", MOMENT),
    Column("anchor_at", MOMENT, nullable=False),
    Column("catch_up", Text, nullable=False),
    Column("overlap", Text, nullable=False),
    Column("paused_at", MOMENT),
    Column("next_at", MOMENT),
    Column("last_at", MOMENT),
    Column("created_at", MOMENT, nullable=False, server_default=NOW),
    Column("updated_at", MOMENT, nullable=False, server_default=NOW),
    CheckConstraint("(cron IS NULL) <> (rrule IS NULL)", name="one_rule"),
    CheckConstraint("catch_up IN ('all', 'latest', 'none')", name="catch_up"),
    CheckConstraint("overlap IN ('allow', 'skip', 'cancel_running')", name="overlap"),
    CheckConstraint("paused_at IS NULL OR next_at IS NULL", name="paused_is_not_due"),
    CheckConstraint("starts_at < ends_at", name="starts_before_it_ends"),
    # insert_schedule.sql, find_schedule.sql, page_schedules.sql
    Index("schedules_name_key", "namespace", "name", unique=True),
    comment="What starts runs of a workflow again and again; a trigger keeps a timer at its next_at.",
)

occurrences = Table(
    "occurrences",
    metadata,
    Column("schedule_id", BigInteger, ForeignKey("schedules.id", ondelete="CASCADE"), primary_key=True),
    Column("occurs_at", MOMENT, primary_key=True),
    Column("until", MOMENT, nullable=False),
    Column("run_id", Uuid),
    Column("skipped", Text),
    Column("recorded_at", MOMENT, nullable=False, server_default=NOW),
    CheckConstraint("(run_id IS NULL) <> (skipped IS NULL)", name="fired_or_skipped"),
    CheckConstraint("skipped IN ('late', 'overlap')", name="skipped"),
    CheckConstraint("until = occurs_at OR (until > occurs_at AND run_id IS NULL)", name="until"),
    comment="What became of an occurrence, once and for all; several in a row that were skipped are one row.",
)
