"""Steps that the worker that set them free goes on with; what guards states, said in fewer words.

A step that is kept is dispatched and running in one moment. Its row says so: no message of it was in a queue, so that
it was claimed tells nothing of those that wait in one.

PostgreSQL reads the stored form of each CHECK and of each trigger's condition anew for every statement that writes to
a table: 21 % of what it spent on a step of a chain. A function's name is short, and its text is read once by a process.

Revision ID: 0020
Revises: 0019
"""

import sqlalchemy as sa

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

MOVES = {
    "runs": (
        "pending>running", "pending>expired", "pending>cancelling", "pending>failed",
        "running>paused", "running>succeeded", "running>failed", "running>cancelling",
        "paused>running", "paused>succeeded", "paused>failed", "paused>cancelling",
        "cancelling>cancelled", "failed>running",
        "pending>paused", "paused>pending", "paused>expired",
    ),
    "steps": (
        "waiting>dispatched", "waiting>ready", "waiting>skipped", "waiting>cancelled",
        "ready>dispatched", "ready>cancelled", "ready>succeeded",
        "dispatched>ready", "dispatched>running", "dispatched>cancelled", "dispatched>succeeded",
        "running>succeeded", "running>retrying", "running>ready", "running>failed", "running>cancelled",
        "running>suspended", "suspended>running", "suspended>cancelled", "suspended>succeeded",
        "retrying>dispatched", "retrying>cancelled", "retrying>succeeded",
        "failed>ready", "cancelled>ready", "cancelled>waiting", "skipped>waiting",
    ),
}  # fmt: skip
KEPT = {"steps": ("waiting>running",)}
"""Moves that are legal from here on."""
ENDED = "'cancelled', 'expired', 'failed', 'succeeded'"
LONG_CHECKS = {
    "runs": {
        "state": f"state IN ('cancelling', 'paused', 'pending', 'running', {ENDED})",
        "finished_iff_final": f"(finished_at IS NOT NULL) = (state IN ({ENDED}))",
    },
    "steps": {
        "state": "state IN ('cancelled', 'dispatched', 'failed', 'ready', 'retrying', 'running', 'skipped', "
        "'succeeded', 'suspended', 'waiting')",
        "finished_iff_final": "(finished_at IS NOT NULL) = (state IN ('cancelled', 'failed', 'skipped', 'succeeded'))",
        "ready_at_iff_due": "(ready_at IS NOT NULL) = (state IN ('ready', 'retrying'))",
        "running_has_worker": "state <> 'running' OR worker_id IS NOT NULL",
        "missing": "missing >= 0",
    },
}
FUNCTIONS = {
    "wfe_run_makes_sense": (
        "state text, finished_at timestamptz",
        "strpos(CASE WHEN finished_at IS NOT NULL THEN ' cancelled expired failed succeeded ' "
        "ELSE ' cancelling paused pending running ' END, ' ' || state || ' ') > 0",
    ),
    "wfe_step_makes_sense": (
        "state text, missing integer, worker_id uuid, ready_at timestamptz, finished_at timestamptz",
        "missing >= 0 AND (finished_at IS NULL OR ready_at IS NULL) AND "
        "strpos(CASE WHEN finished_at IS NOT NULL THEN ' cancelled failed skipped succeeded ' "
        "WHEN ready_at IS NOT NULL THEN ' ready retrying ' "
        "WHEN worker_id IS NULL THEN ' dispatched suspended waiting ' "
        "ELSE ' dispatched running suspended waiting ' END, ' ' || state || ' ') > 0",
    ),
    **{
        f"wfe_{table.removesuffix('s')}_may_move": (
            "old_state text, new_state text",
            f"old_state = new_state OR strpos(' {' '.join((*moves, *KEPT.get(table, ())))} ', "
            "' ' || old_state || '>' || new_state || ' ') > 0",
        )
        for table, moves in MOVES.items()
    },
    "wfe_run_move_is_told": (
        "old_state text, new_state text",
        "old_state <> new_state AND strpos(' pending>running running>succeeded paused>succeeded ', "
        "' ' || old_state || '>' || new_state || ' ') = 0",
    ),
}
SHORT_CHECKS = {
    "runs": "wfe_run_makes_sense(state, finished_at)",
    "steps": "wfe_step_makes_sense(state, missing, worker_id, ready_at, finished_at)",
}
TOLD_MOVES = (
    "OLD.state IS DISTINCT FROM NEW.state AND (OLD.state || '>' || NEW.state) NOT IN "
    "('pending>running', 'running>succeeded', 'paused>succeeded')"
)
ENDS = (
    "NEW.finished_at IS NOT NULL AND OLD.finished_at IS NULL AND "
    "(NEW.expires_at IS NOT NULL OR NEW.due_at IS NOT NULL OR NEW.timeout IS NOT NULL OR NEW.state <> 'succeeded')"
)
READY = "NEW.ready_at IS NOT NULL AND OLD.ready_at IS DISTINCT FROM NEW.ready_at"


def upgrade() -> None:
    """Let a step begin where it becomes ready; say in functions what may be, and look where it may have changed."""
    op.add_column("steps", sa.Column("kept", sa.Boolean, nullable=False, server_default="false"))
    for name, (parameters, answer) in FUNCTIONS.items():
        # Not of one SQL expression: that would take the function's place, and its text would be read anew as well.
        op.execute(
            f"CREATE FUNCTION {name}({parameters}) RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE "
            f"AS $$ BEGIN RETURN {answer}; END $$"
        )
    for table, check in SHORT_CHECKS.items():
        drop_checks(table, LONG_CHECKS[table])
        op.create_check_constraint(op.f(f"{table}_state_check"), table, check)
        replace_guard(table, f"NOT wfe_{table.removesuffix('s')}_may_move(OLD.state, NEW.state)")
    replace_trigger("runs_moved", "OF state ON runs", "wfe_run_move_is_told(OLD.state, NEW.state)", "wfe_run_moved")
    replace_trigger("runs_finished", "OF finished_at ON runs", ENDS, "wfe_run_finished")
    replace_trigger("steps_ready_updated", "OF ready_at ON steps", READY, "wfe_step_ready", deferred=True)


def downgrade() -> None:
    """List the states again, and let every step be dispatched before it begins; rows stay as they are."""
    replace_trigger("runs_moved", "ON runs", TOLD_MOVES, "wfe_run_moved")
    replace_trigger("runs_finished", "ON runs", ENDS, "wfe_run_finished")
    replace_trigger("steps_ready_updated", "ON steps", READY, "wfe_step_ready", deferred=True)
    for table, checks in LONG_CHECKS.items():
        drop_checks(table, ["state"])
        for name, check in checks.items():
            op.create_check_constraint(op.f(f"{table}_{name}_check"), table, check)
        legal = ", ".join(f"'{move}'" for move in MOVES[table])
        condition = f"OLD.state IS DISTINCT FROM NEW.state AND (OLD.state || '>' || NEW.state) NOT IN ({legal})"
        replace_guard(table, condition)
    for name in FUNCTIONS:
        op.execute(f"DROP FUNCTION {name}")
    op.drop_column("steps", "kept")


def drop_checks(table: str, names: list[str] | dict[str, str]) -> None:
    """Drop these CHECKs of a table."""
    for name in names:
        op.drop_constraint(op.f(f"{table}_{name}_check"), table)


def replace_guard(table: str, refused: str) -> None:
    """Put the trigger that refuses these moves in the place of the one there is."""
    op.execute(f"DROP TRIGGER {table}_transition_guard ON {table}")
    op.execute(
        f"CREATE TRIGGER {table}_transition_guard BEFORE UPDATE ON {table} FOR EACH ROW "
        f"WHEN ({refused}) EXECUTE FUNCTION wfe_refuse_transition()"
    )


def replace_trigger(name: str, after_update: str, condition: str, function: str, *, deferred: bool = False) -> None:
    """Put a trigger in the place of the one of that name."""
    _, _, table = after_update.rpartition(" ")
    op.execute(f"DROP TRIGGER {name} ON {table}")
    kind, when = ("CONSTRAINT TRIGGER", "DEFERRABLE INITIALLY DEFERRED ") if deferred else ("TRIGGER", "")
    op.execute(
        f"CREATE {kind} {name} AFTER UPDATE {after_update} {when}FOR EACH ROW "
        f"WHEN ({condition}) EXECUTE FUNCTION {function}()"
    )
