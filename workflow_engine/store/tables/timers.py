"""The durable timers, and who leads."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from workflow_engine.store.tables.metadata import metadata

MOMENT = DateTime(timezone=True)

timers = Table(
    "timers",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("due_at", MOMENT, nullable=False),
    Column("run_id", Uuid),
    Column("position", Integer),
    Column("attempt", Integer),
    Column("schedule_id", BigInteger),
    Column("data", JSONB),
    CheckConstraint("(run_id IS NULL) <> (schedule_id IS NULL)", name="subject"),
    # take_due_timers.sql, next_timer.sql
    Index("timers_due_idx", "due_at"),
    # the trigger of finished runs
    Index("timers_run_idx", "run_id"),
    # the trigger of schedules
    Index("timers_schedule_idx", "schedule_id", postgresql_where=text("schedule_id IS NOT NULL")),
    # one for all the steps of a run that become ready at the same moment
    Index("timers_step_ready_key", "run_id", "due_at", unique=True, postgresql_where=text("kind = 'step_ready'")),
    comment="Moments in the future of runs and schedules; whoever fires one deletes it in the same transaction.",
)

leaders = Table(
    "leaders",
    metadata,
    Column("role", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("backend_pid", Integer, nullable=False),
    Column("elected_at", MOMENT, nullable=False),
    Column("heartbeat_at", MOMENT, nullable=False),
    Column("release", Text),
    Column("clock_ahead", Float),
    comment="The coordinator that holds a role's advisory lock, by its own word.",
)
