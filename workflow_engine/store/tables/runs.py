"""Workflows' plans, runs, their steps, and the workers that hold them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    Double,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB

from workflow_engine.store.tables.metadata import metadata

NOW = text("clock_timestamp()")


def _moment(name: str, **options: object) -> Column[object]:
    return Column(name, DateTime(timezone=True), **options)  # type: ignore[arg-type]  # passed through to Column


plans = Table(
    "plans",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("namespace", Text, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("definition", JSONB, nullable=False),
    _moment("created_at", nullable=False, server_default=NOW),
    Column("stale_after", Float),
    Index("plans_workflow_version_key", "namespace", "workflow", "version", unique=True),
    comment="One row for each version of a workflow ever submitted; edges live here, once, not in each run.",
)

plan_steps = Table(
    "plan_steps",
    metadata,
    Column("plan_id", BigInteger, ForeignKey("plans.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("parents", Integer, nullable=False),
    Column("queue", Text),
    Column("priority", SmallInteger, nullable=False),
    comment="What submit copies into steps, so that a run of any size is submitted by one statement.",
)

runs = Table(
    "runs",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("plan_id", BigInteger, ForeignKey("plans.id"), nullable=False),
    Column("namespace", Text, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("input", JSON),
    Column("input_digest", Text, nullable=False),
    Column("idempotency_key", Text),
    Column("correlation_id", Text, nullable=False),
    Column("priority", SmallInteger),
    Column("title", String(200)),
    Column("description", String(2000)),
    Column("tags", ARRAY(Text), nullable=False, server_default="{}"),
    Column("metadata", JSONB, nullable=False, server_default="{}"),
    Column("agent", String(100)),
    Column("initiator", String(200)),
    Column("traceparent", Text),
    Column("schedule_id", BigInteger),
    Column("rerun_of", Uuid),
    Column("error", JSONB),
    Column("sinks_left", Integer, nullable=False),
    _moment("created_at", nullable=False, server_default=NOW),
    _moment("scheduled_at"),
    _moment("due_at"),
    Column("remind_before", ARRAY(Double)),
    Column("timeout", Double),
    _moment("expires_at"),
    _moment("started_at"),
    _moment("finished_at"),
    _moment("retried_at"),
    _moment("stale_told"),
    # What an index may have of the state: it stays as it is when a run starts, so that this remains a HOT update.
    Column(
        "phase",
        Text,
        Computed("CASE WHEN state IN ('pending', 'running') THEN 'open' ELSE state END", persisted=True),
    ),
    CheckConstraint("wfe_run_makes_sense(state, finished_at)", name="state"),
    CheckConstraint("sinks_left >= 0", name="sinks_left"),
    CheckConstraint("remind_before IS NULL OR due_at IS NOT NULL", name="reminders_need_due_at"),
    CheckConstraint("timeout > 0", name="timeout"),
    Index(
        "runs_idempotency_key",
        "namespace",
        "workflow",
        "idempotency_key",
        unique=True,
        postgresql_where=text("idempotency_key IS NOT NULL"),
    ),
    # run_drivers: lists in the order of submits, all or of a kind
    Index("runs_newest_idx", "namespace", "created_at", "id"),
    Index("runs_workflow_newest_idx", "namespace", "workflow", "created_at", "id"),
    Index("runs_plan_newest_idx", "plan_id", "created_at", "id"),
    Index("runs_phase_newest_idx", "namespace", "phase", "created_at", "id"),
    # run_drivers: what ended within a time, if it is not much; what is due
    Index("runs_finished_idx", "namespace", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
    Index("runs_due_idx", "namespace", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    # the poller: what is unfinished
    Index("runs_unfinished_idx", "created_at", postgresql_where=text("finished_at IS NULL")),
    # unfinished_of_schedule.sql
    Index(
        "runs_schedule_idx",
        "schedule_id",
        "id",
        postgresql_where=text("schedule_id IS NOT NULL AND finished_at IS NULL"),
    ),
    postgresql_with={"fillfactor": "80"},  # state and sinks_left change in place (HOT)
)

run_labels = Table(
    "run_labels",
    metadata,
    Column("label", BigInteger, primary_key=True, autoincrement=False),
    _moment("created_at", primary_key=True),
    Column("run_id", Uuid, primary_key=True),
    comment=(
        "By what else lists find runs: tags, each value in the metadata, agent, initiator, correlation id, schedule. "
        "A label is a hash of namespace, kind and value; triggers keep them. Unlike a GIN index, each has its runs in "
        "the order of their submits."
    ),
)

steps = Table(
    "steps",
    metadata,
    Column("run_id", Uuid, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("losses", SmallInteger, nullable=False, server_default="0"),
    Column("missing", Integer, nullable=False),
    Column("settle", SmallInteger, nullable=False, server_default="0"),
    Column("worker_id", Uuid),
    _moment("ready_at"),
    _moment("dispatched_at"),
    _moment("started_at"),
    _moment("finished_at"),
    Column("result", JSON),
    Column("error", JSONB),
    Column("resends", SmallInteger, nullable=False, server_default="0"),
    Column("forgiven", Integer, nullable=False, server_default="0"),
    _moment("released_since"),
    # Whether a worker went on with an attempt of it: no message of that was in a queue.
    Column("kept", Boolean, nullable=False, server_default="false"),
    CheckConstraint("wfe_step_makes_sense(state, missing, worker_id, ready_at, finished_at)", name="state"),
    # The only index a state change may touch, and the hot path never does: on it ready_at stays NULL, so its
    # updates stay HOT. It serves dispatch_ready.sql.
    Index("steps_ready_idx", "ready_at", postgresql_where=text("ready_at IS NOT NULL")),
    postgresql_with={"fillfactor": "70"},
    comment=(
        "A step of a run. No foreign key to runs: it would take a lock on the run's row for each step; "
        "retention deletes both."
    ),
)

workers = Table(
    "workers",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    _moment("started_at", nullable=False, server_default=NOW),
    _moment("heartbeat_at", nullable=False, server_default=NOW),
    Column("queues", ARRAY(Text), nullable=False, server_default="{}"),
    Column("pool", Text),
    Column("concurrency", Integer),
    Column("release", Text),
    Column("clock_ahead", Float),
    Column("workflows", ARRAY(Text)),
    comment="One row a worker process tree; its heartbeat is the lease of every step it runs.",
)
