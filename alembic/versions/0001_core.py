"""Plans, runs, steps, workers and the event log.

Revision ID: 0001
Revises: nothing
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

RUN_MOVES = (
    "pending>running",
    "pending>expired",
    "pending>cancelling",
    "running>paused",
    "running>succeeded",
    "running>failed",
    "running>cancelling",
    "paused>running",
    "paused>succeeded",
    "paused>failed",
    "paused>cancelling",
    "cancelling>cancelled",
)
STEP_MOVES = (
    "waiting>dispatched",
    "waiting>skipped",
    "waiting>cancelled",
    "ready>dispatched",
    "ready>cancelled",
    "dispatched>running",
    "dispatched>ready",
    "dispatched>cancelled",
    "running>succeeded",
    "running>failed",
    "running>retrying",
    "running>ready",
    "running>cancelled",
    "retrying>dispatched",
    "retrying>cancelled",
)

REFUSE = """
CREATE FUNCTION wfe_refuse_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'nothing leads from % to % in %', OLD.state, NEW.state, TG_TABLE_NAME
          USING ERRCODE = 'check_violation';
END $$
"""

NOTIFY_READY = """
CREATE FUNCTION wfe_notify_ready() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('wfe_ready', '');
    RETURN NULL;
END $$
"""


def guard(table: str, moves: tuple[str, ...]) -> str:
    """Return the trigger that refuses every move not listed.

    The test stands in WHEN, so a legal update never calls a function: the guard costs a comparison.
    """
    legal = ", ".join(f"'{move}'" for move in moves)
    return (
        f"CREATE TRIGGER {table}_transition_guard BEFORE UPDATE ON {table} FOR EACH ROW "
        f"WHEN (OLD.state IS DISTINCT FROM NEW.state AND (OLD.state || '>' || NEW.state) NOT IN ({legal})) "
        "EXECUTE FUNCTION wfe_refuse_transition()"
    )


def upgrade() -> None:
    """Make the tables, the transition guards and the notification of ready steps."""
    create_plans()
    create_runs()
    create_steps()
    create_events()
    op.execute(REFUSE)
    op.execute(guard("runs", RUN_MOVES))
    op.execute(guard("steps", STEP_MOVES))
    op.execute(NOTIFY_READY)
    op.execute(
        "CREATE TRIGGER steps_ready_inserted AFTER INSERT ON steps FOR EACH ROW "
        "WHEN (NEW.ready_at IS NOT NULL) EXECUTE FUNCTION wfe_notify_ready()"
    )
    op.execute(
        "CREATE TRIGGER steps_ready_updated AFTER UPDATE ON steps FOR EACH ROW "
        "WHEN (NEW.ready_at IS NOT NULL AND OLD.ready_at IS DISTINCT FROM NEW.ready_at) "
        "EXECUTE FUNCTION wfe_notify_ready()"
    )


def downgrade() -> None:
    """Drop everything."""
    for table in ("events", "workers", "steps", "runs", "plan_steps", "plans"):
        op.drop_table(table)
    op.execute("DROP FUNCTION wfe_notify_ready()")
    op.execute("DROP FUNCTION wfe_refuse_transition()")


def create_plans() -> None:
    """Workflows compiled."""
    op.create_table(
        "plans",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("definition", postgresql.JSONB(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("plans_pkey")),
        comment="One row for each version of a workflow ever submitted; edges live here, once, not in each run.",
    )
    op.create_index("plans_workflow_version_key", "plans", ["namespace", "workflow", "version"], unique=True)
    op.create_table(
        "plan_steps",
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("parents", sa.Integer(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=True),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name=op.f("plan_steps_plan_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("plan_id", "position", name=op.f("plan_steps_pkey")),
        comment="What submit copies into steps, so that a run of any size is submitted by one statement.",
    )


def create_runs() -> None:
    """Executions."""
    op.create_table(
        "runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("input", postgresql.JSON(), nullable=True),
        sa.Column("input_digest", sa.Text(), nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=True),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=True),
        sa.Column("title", sa.String(length=200), nullable=True),
        sa.Column("description", sa.String(length=2000), nullable=True),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("metadata", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("agent", sa.String(length=100), nullable=True),
        sa.Column("initiator", sa.String(length=200), nullable=True),
        sa.Column("error", postgresql.JSONB(), nullable=True),
        sa.Column("sinks_left", sa.Integer(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("scheduled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(finished_at IS NOT NULL) = (state IN ('cancelled', 'expired', 'failed', 'succeeded'))",
            name=op.f("runs_finished_iff_final_check"),
        ),
        sa.CheckConstraint(
            "state IN ('cancelled', 'cancelling', 'expired', 'failed', 'paused', 'pending', 'running', 'succeeded')",
            name=op.f("runs_state_check"),
        ),
        sa.CheckConstraint("sinks_left >= 0", name=op.f("runs_sinks_left_check")),
        sa.ForeignKeyConstraint(["plan_id"], ["plans.id"], name=op.f("runs_plan_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("runs_pkey")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        "runs_idempotency_key",
        "runs",
        ["namespace", "workflow", "idempotency_key"],
        unique=True,
        postgresql_where=sa.text("idempotency_key IS NOT NULL"),
    )
    op.create_index("runs_newest_idx", "runs", ["namespace", "created_at", "id"], unique=False)
    op.create_index(
        "runs_unfinished_idx",
        "runs",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_index("runs_workflow_idx", "runs", ["namespace", "workflow", "created_at"], unique=False)


def create_steps() -> None:
    """Steps of runs, and who holds them."""
    op.create_table(
        "steps",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("losses", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("missing", sa.Integer(), nullable=False),
        sa.Column("settle", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("worker_id", sa.Uuid(), nullable=True),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("dispatched_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("result", postgresql.JSON(), nullable=True),
        sa.Column("error", postgresql.JSONB(), nullable=True),
        sa.CheckConstraint(
            "(finished_at IS NOT NULL) = (state IN ('cancelled', 'failed', 'skipped', 'succeeded'))",
            name=op.f("steps_finished_iff_final_check"),
        ),
        sa.CheckConstraint(
            "(ready_at IS NOT NULL) = (state IN ('ready', 'retrying'))",
            name=op.f("steps_ready_at_iff_due_check"),
        ),
        sa.CheckConstraint("state <> 'running' OR worker_id IS NOT NULL", name=op.f("steps_running_has_worker_check")),
        sa.CheckConstraint(
            "state IN ('cancelled', 'dispatched', 'failed', 'ready', 'retrying', 'running', 'skipped', "
            "'succeeded', 'suspended', 'waiting')",
            name=op.f("steps_state_check"),
        ),
        sa.CheckConstraint("missing >= 0", name=op.f("steps_missing_check")),
        sa.PrimaryKeyConstraint("run_id", "position", name=op.f("steps_pkey")),
        comment="A step of a run. No foreign key to runs: it would take a lock on the run's row for each "
        "step; retention deletes both.",
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index(
        "steps_ready_idx",
        "steps",
        ["ready_at"],
        unique=False,
        postgresql_where=sa.text("ready_at IS NOT NULL"),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "heartbeat_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("workers_pkey")),
        comment="One row a worker process tree; its heartbeat is the lease of every step it runs.",
    )


def create_events() -> None:
    """The event log."""
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.SmallInteger(), server_default="1", nullable=False),
        sa.Column("step", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column(
            "occurred_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("data", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("events_pkey")),
        comment="A fact a row, written in the transaction of the change it tells of.",
    )
    op.create_index("events_run_idx", "events", ["run_id", "id"], unique=False)
