"""Steps that wait: the moves to and from ``suspended``, and signals.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

STEP_MOVES = (
    "waiting>dispatched", "waiting>skipped", "waiting>cancelled",
    "ready>dispatched", "ready>cancelled",
    "dispatched>ready", "dispatched>running", "dispatched>cancelled",
    "running>succeeded", "running>retrying", "running>ready", "running>failed", "running>cancelled",
    "retrying>dispatched", "retrying>cancelled",
    "failed>ready", "cancelled>ready", "cancelled>waiting", "skipped>waiting",
)  # fmt: skip
STEP_MOVES_OF_WAITS = ("running>suspended", "suspended>running", "suspended>cancelled")


def upgrade() -> None:
    """Let steps wait, and keep what somebody tells a run."""
    op.create_table(
        "signals",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSON(), nullable=True),
        sa.Column("sent_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("consumed_by", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("signals_run_id_fkey"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("signals_pkey")),
        comment="What somebody told a run; each goes to one step, whose position is consumed_by. Goes with its run.",
    )
    op.create_index(
        "signals_kept_idx",
        "signals",
        ["run_id", "name", "id"],
        postgresql_where=sa.text("consumed_by IS NULL"),
    )
    op.create_index(
        "signals_key", "signals", ["run_id", "key"], unique=True, postgresql_where=sa.text("key IS NOT NULL")
    )
    replace_guard(STEP_MOVES + STEP_MOVES_OF_WAITS)


def downgrade() -> None:
    """Forget signals; steps that wait are ready again, for a worker that knows what they are."""
    op.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a trigger that waits for the commit would keep the table as it is
    replace_guard((*STEP_MOVES, "suspended>ready"))
    op.execute("UPDATE steps SET state = 'ready', ready_at = clock_timestamp() WHERE state = 'suspended'")
    op.execute("DELETE FROM timers WHERE kind = 'wake'")
    replace_guard(STEP_MOVES)
    op.drop_table("signals")


def replace_guard(moves: tuple[str, ...]) -> None:
    """Put the trigger that refuses every move not listed in the place of the one there is."""
    legal = ", ".join(f"'{move}'" for move in moves)
    op.execute("DROP TRIGGER steps_transition_guard ON steps")
    op.execute(
        "CREATE TRIGGER steps_transition_guard BEFORE UPDATE ON steps FOR EACH ROW "
        f"WHEN (OLD.state IS DISTINCT FROM NEW.state AND (OLD.state || '>' || NEW.state) NOT IN ({legal})) "
        "EXECUTE FUNCTION wfe_refuse_transition()"
    )
