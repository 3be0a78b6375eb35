"""Dead letters of steps; failed runs that can be retried.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_DEAD = sa.text("state = 'dead'")

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
RUN_MOVES_BACK = ("failed>running",)
STEP_MOVES_BACK = ("failed>ready", "cancelled>ready", "cancelled>waiting", "skipped>waiting")

KEEP_THOSE_OF_BEFORE = """
INSERT INTO step_dead_letters (run_id, position, attempt, attempts, namespace, workflow, version, step, error_class,
                               message, traceback, failed_at)
SELECT steps.run_id, steps.position, steps.attempt, steps.attempt, runs.namespace, runs.workflow, runs.version,
       plan_steps.name, coalesce(steps.error->>'error_class', ''), coalesce(steps.error->>'message', ''),
       steps.error->>'traceback', steps.finished_at
  FROM steps
  JOIN runs ON runs.id = steps.run_id
  JOIN plan_steps ON plan_steps.plan_id = runs.plan_id AND plan_steps.position = steps.position
 WHERE steps.state = 'failed'
"""


def upgrade() -> None:
    """Make the table, with the steps that have failed so far, and let failed runs and what ended with them go on."""
    op.add_column("runs", sa.Column("retried_at", _MOMENT, nullable=True))
    op.add_column("steps", sa.Column("forgiven", sa.Integer(), server_default="0", nullable=False))
    create_step_dead_letters()
    op.execute(KEEP_THOSE_OF_BEFORE)
    replace_guard("runs", RUN_MOVES + RUN_MOVES_BACK)
    replace_guard("steps", STEP_MOVES + STEP_MOVES_BACK)


def downgrade() -> None:
    """Drop the table; what has failed stays so."""
    replace_guard("runs", RUN_MOVES)
    replace_guard("steps", STEP_MOVES)
    op.drop_table("step_dead_letters")
    op.drop_column("steps", "forgiven")
    op.drop_column("runs", "retried_at")


def create_step_dead_letters() -> None:
    """Steps that failed for good."""
    op.create_table(
        "step_dead_letters",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("error_class", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("traceback", sa.Text(), nullable=True),
        sa.Column("failed_at", _MOMENT, nullable=False),
        sa.Column("state", sa.Text(), server_default="dead", nullable=False),
        sa.Column("closed_at", _MOMENT, nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('dead', 'discarded', 'requeued')", name=op.f("step_dead_letters_state_check")),
        sa.CheckConstraint(
            "(state = 'dead') = (closed_at IS NULL)", name=op.f("step_dead_letters_closed_iff_not_dead_check")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.id"], name=op.f("step_dead_letters_run_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "position", "attempt", name=op.f("step_dead_letters_pkey")),
        comment=(
            "Each time that a step failed for good; dead until somebody requeues or discards it. Goes with its run."
        ),
    )
    op.create_index(
        "step_dead_letters_dead_idx",
        "step_dead_letters",
        ["namespace", "failed_at", "run_id", "position"],
        postgresql_where=_DEAD,
    )
    op.create_index(
        "step_dead_letters_workflow_idx",
        "step_dead_letters",
        ["namespace", "workflow", "failed_at"],
        postgresql_where=_DEAD,
    )
    op.create_index(
        "step_dead_letters_newest_idx", "step_dead_letters", ["namespace", "failed_at", "run_id", "position"]
    )


def replace_guard(table: str, moves: tuple[str, ...]) -> None:
    """Put the trigger that refuses every move not listed in the place of the one there is."""
    legal = ", ".join(f"'{move}'" for move in moves)
    op.execute(f"DROP TRIGGER {table}_transition_guard ON {table}")
    op.execute(
        f"CREATE TRIGGER {table}_transition_guard BEFORE UPDATE ON {table} FOR EACH ROW "
        f"WHEN (OLD.state IS DISTINCT FROM NEW.state AND (OLD.state || '>' || NEW.state) NOT IN ({legal})) "
        "EXECUTE FUNCTION wfe_refuse_transition()"
    )
