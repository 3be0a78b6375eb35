"""Runs that are paused before they start; steps resolved by hand; runs that do part of an earlier one again.

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

RUN_MOVES = (
    "pending>running", "pending>expired", "pending>cancelling", "pending>failed",
    "running>paused", "running>succeeded", "running>failed", "running>cancelling",
    "paused>running", "paused>succeeded", "paused>failed", "paused>cancelling",
    "cancelling>cancelled", "failed>running",
)  # fmt: skip
RUN_MOVES_OF_PAUSES = ("pending>paused", "paused>pending", "paused>expired")
STEP_MOVES = (
    "waiting>dispatched", "waiting>skipped", "waiting>cancelled",
    "ready>dispatched", "ready>cancelled",
    "dispatched>ready", "dispatched>running", "dispatched>cancelled",
    "running>succeeded", "running>retrying", "running>ready", "running>failed", "running>cancelled",
    "running>suspended", "suspended>running", "suspended>cancelled",
    "retrying>dispatched", "retrying>cancelled",
    "failed>ready", "cancelled>ready", "cancelled>waiting", "skipped>waiting",
)  # fmt: skip
STEP_MOVES_BY_HAND = (
    "waiting>ready", "ready>succeeded", "dispatched>succeeded", "suspended>succeeded", "retrying>succeeded",
)  # fmt: skip
LETTER_STATES = "state IN ('dead', 'discarded', 'requeued')"
LETTER_STATES_NOW = "state IN ('dead', 'discarded', 'requeued', 'resolved')"


def upgrade() -> None:
    """Let runs rest before they start, and people say how a step ended."""
    op.add_column("runs", sa.Column("rerun_of", sa.Uuid(), nullable=True))
    replace_guard("runs", RUN_MOVES + RUN_MOVES_OF_PAUSES)
    replace_guard("steps", STEP_MOVES + STEP_MOVES_BY_HAND)
    replace_letter_states(LETTER_STATES_NOW)


def downgrade() -> None:
    """What is paused before it started waits to be started; what was resolved by hand counts as requeued."""
    op.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a trigger that waits for the commit would keep the table as it is
    op.execute("UPDATE runs SET state = 'pending' WHERE state = 'paused' AND started_at IS NULL")
    op.execute("UPDATE step_dead_letters SET state = 'requeued' WHERE state = 'resolved'")
    op.execute("UPDATE steps SET settle = 1 WHERE settle < 0")
    replace_letter_states(LETTER_STATES)
    replace_guard("steps", STEP_MOVES)
    replace_guard("runs", RUN_MOVES)
    op.drop_column("runs", "rerun_of")


def replace_letter_states(states: str) -> None:
    """Put the states a dead letter may have in the place of those it might."""
    op.drop_constraint(op.f("step_dead_letters_state_check"), "step_dead_letters")
    op.create_check_constraint(op.f("step_dead_letters_state_check"), "step_dead_letters", states)


def replace_guard(table: str, moves: tuple[str, ...]) -> None:
    """Put the trigger that refuses every move not listed in the place of the one there is."""
    legal = ", ".join(f"'{move}'" for move in moves)
    op.execute(f"DROP TRIGGER {table}_transition_guard ON {table}")
    op.execute(
        f"CREATE TRIGGER {table}_transition_guard BEFORE UPDATE ON {table} FOR EACH ROW "
        f"WHEN (OLD.state IS DISTINCT FROM NEW.state AND (OLD.state || '>' || NEW.state) NOT IN ({legal})) "
        "EXECUTE FUNCTION wfe_refuse_transition()"
    )
