"""Deadlines with reminders, and runs that fail when they take too long.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0011"
down_revision = "0010"
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
    "failed>running",
)
TIMED_OUT_BEFORE_IT_STARTED = ("pending>failed",)

RUN_TIMED_OF_BEFORE = """
CREATE OR REPLACE FUNCTION wfe_run_timed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO timers (kind, due_at, run_id) VALUES ('run_expiry', NEW.expires_at, NEW.id);
    RETURN NULL;
END $$
"""

RUN_FINISHED_OF_BEFORE = """
CREATE OR REPLACE FUNCTION wfe_run_finished() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM timers WHERE run_id = NEW.id;
    RETURN NULL;
END $$
"""

TIMER_SET_OF_BEFORE = """
CREATE OR REPLACE FUNCTION wfe_timer_set() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Rounded down, so that a transaction with many timers notifies once for each second of them.
    PERFORM pg_notify('wfe_timers', floor(extract(epoch FROM NEW.due_at))::text);
    RETURN NULL;
END $$
"""

SET_REMINDERS = """
CREATE FUNCTION wfe_set_reminders(subject uuid, deadline timestamptz, wanted double precision[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp();
BEGIN
    -- Of reminders whose moment is over one, the last, comes at once; after the deadline itself none does.
    INSERT INTO timers (kind, due_at, run_id, data)
    SELECT 'reminder', deadline - make_interval(secs => ahead), subject, jsonb_build_object('before', ahead)
      FROM unnest(wanted) AS ahead
     WHERE deadline > moment
       AND (deadline - make_interval(secs => ahead) > moment
            OR ahead = (SELECT min(missed) FROM unnest(wanted) AS missed
                         WHERE deadline - make_interval(secs => missed) <= moment));
END $$
"""

DROP_TIMERS = """
CREATE FUNCTION wfe_drop_timers(subject uuid, kinds text[], kept double precision[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    -- What somebody is firing goes with that, or has nothing to do any more: nobody waits here for anybody.
    DELETE FROM timers WHERE id IN (
        SELECT id FROM timers
         WHERE run_id = subject
           AND (kinds IS NULL OR kind = ANY(kinds))
           AND (kept IS NULL OR (data->>'before')::double precision <> ALL(kept))
           FOR UPDATE SKIP LOCKED);
END $$
"""

RUN_TIMED = """
CREATE OR REPLACE FUNCTION wfe_run_timed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- A new run, or a failed one that is retried: that one has its time before it again.
    IF TG_OP = 'INSERT' AND NEW.expires_at IS NOT NULL THEN
        INSERT INTO timers (kind, due_at, run_id) VALUES ('run_expiry', NEW.expires_at, NEW.id);
    END IF;
    IF NEW.timeout IS NOT NULL THEN
        INSERT INTO timers (kind, due_at, run_id)
        VALUES ('run_timeout', greatest(NEW.created_at, NEW.scheduled_at, NEW.retried_at)
                               + make_interval(secs => NEW.timeout), NEW.id);
    END IF;
    IF NEW.due_at IS NOT NULL THEN
        INSERT INTO timers (kind, due_at, run_id) VALUES ('overdue', NEW.due_at, NEW.id);
        PERFORM wfe_set_reminders(NEW.id, NEW.due_at, NEW.remind_before);
    END IF;
    RETURN NULL;
END $$
"""

RUN_RESCHEDULED = """
CREATE FUNCTION wfe_run_rescheduled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.due_at IS DISTINCT FROM NEW.due_at THEN
        PERFORM wfe_drop_timers(NEW.id, ARRAY['reminder', 'overdue'], NULL);
        IF NEW.due_at IS NOT NULL THEN
            INSERT INTO timers (kind, due_at, run_id) VALUES ('overdue', NEW.due_at, NEW.id);
            PERFORM wfe_set_reminders(NEW.id, NEW.due_at, NEW.remind_before);
        END IF;
    ELSE                                        -- what has come, and what will, stays as it is
        PERFORM wfe_drop_timers(NEW.id, ARRAY['reminder'], coalesce(NEW.remind_before, '{}'));
        PERFORM wfe_set_reminders(NEW.id, NEW.due_at, ARRAY(
            SELECT unnest(NEW.remind_before) EXCEPT SELECT unnest(OLD.remind_before)));
    END IF;
    RETURN NULL;
END $$
"""

RUN_FINISHED = """
CREATE OR REPLACE FUNCTION wfe_run_finished() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM wfe_drop_timers(NEW.id, NULL, NULL);
    RETURN NULL;
END $$
"""

TIMER_SET = """
CREATE OR REPLACE FUNCTION wfe_timer_set() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Rounded down, and what is overdue is due now: so that a transaction with many timers notifies once for each
    -- second of them from now on.
    PERFORM pg_notify('wfe_timers', floor(extract(epoch FROM greatest(NEW.due_at, now())))::text);
    RETURN NULL;
END $$
"""

MAY_HAVE_TIMERS = (
    "(NEW.expires_at IS NOT NULL OR NEW.due_at IS NOT NULL OR NEW.timeout IS NOT NULL OR NEW.state <> 'succeeded')"
)
MIGHT_HAVE_TIMERS_BEFORE = "(NEW.expires_at IS NOT NULL OR NEW.due_at IS NOT NULL OR NEW.state <> 'succeeded')"
"""A run that simply succeeds, the hot path, has none but those of delays that are over soon, and find nothing to do."""


def upgrade() -> None:
    """Add the columns and the triggers; runs that are due get their timer."""
    op.add_column("runs", sa.Column("remind_before", postgresql.ARRAY(sa.Double()), nullable=True))
    op.add_column("runs", sa.Column("timeout", sa.Double(), nullable=True))
    op.create_check_constraint(
        op.f("runs_reminders_need_due_at_check"), "runs", "remind_before IS NULL OR due_at IS NOT NULL"
    )
    op.create_check_constraint(op.f("runs_timeout_check"), "runs", "timeout > 0")
    for function in (SET_REMINDERS, DROP_TIMERS, RUN_TIMED, RUN_RESCHEDULED, RUN_FINISHED, TIMER_SET):
        op.execute(function)
    replace_run_triggers(
        timed="NEW.finished_at IS NULL AND "
        "(NEW.expires_at IS NOT NULL OR NEW.due_at IS NOT NULL OR NEW.timeout IS NOT NULL)",
        finished=MAY_HAVE_TIMERS,
    )
    # Only where the column itself is set: no statement of the hot path asks any of them but for finished_at.
    op.execute(
        "CREATE TRIGGER runs_reopened AFTER UPDATE OF finished_at ON runs FOR EACH ROW "
        "WHEN (OLD.finished_at IS NOT NULL AND NEW.finished_at IS NULL "
        "AND (NEW.due_at IS NOT NULL OR NEW.timeout IS NOT NULL)) EXECUTE FUNCTION wfe_run_timed()"
    )
    op.execute(
        "CREATE TRIGGER runs_rescheduled AFTER UPDATE OF due_at, remind_before ON runs FOR EACH ROW "
        "WHEN (NEW.finished_at IS NULL AND (OLD.due_at IS DISTINCT FROM NEW.due_at "
        "OR OLD.remind_before IS DISTINCT FROM NEW.remind_before)) EXECUTE FUNCTION wfe_run_rescheduled()"
    )
    replace_guard(RUN_MOVES + TIMED_OUT_BEFORE_IT_STARTED)
    op.execute(
        "INSERT INTO timers (kind, due_at, run_id) "
        "SELECT 'overdue', due_at, id FROM runs WHERE due_at IS NOT NULL AND finished_at IS NULL"
    )


def downgrade() -> None:
    """Forget reminders and timeouts; due_at stays, and tells nothing."""
    op.execute("DROP TRIGGER runs_rescheduled ON runs")
    op.execute("DROP TRIGGER runs_reopened ON runs")
    for function in (RUN_TIMED_OF_BEFORE, RUN_FINISHED_OF_BEFORE, TIMER_SET_OF_BEFORE):
        op.execute(function)
    replace_run_triggers(timed="NEW.expires_at IS NOT NULL", finished=MIGHT_HAVE_TIMERS_BEFORE)
    op.execute("DROP FUNCTION wfe_run_rescheduled()")
    op.execute("DROP FUNCTION wfe_drop_timers(uuid, text[], double precision[])")
    op.execute("DROP FUNCTION wfe_set_reminders(uuid, timestamptz, double precision[])")
    replace_guard(RUN_MOVES)
    op.execute("DELETE FROM timers WHERE kind IN ('reminder', 'overdue', 'run_timeout')")
    op.drop_column("runs", "timeout")
    op.drop_column("runs", "remind_before")


def replace_run_triggers(*, timed: str, finished: str) -> None:
    """Say anew of which runs a timer is set, and of which any may be left."""
    op.execute("DROP TRIGGER runs_timed ON runs")
    op.execute(
        f"CREATE TRIGGER runs_timed AFTER INSERT ON runs FOR EACH ROW WHEN ({timed}) EXECUTE FUNCTION wfe_run_timed()"
    )
    op.execute("DROP TRIGGER runs_finished ON runs")
    op.execute(
        "CREATE TRIGGER runs_finished AFTER UPDATE ON runs FOR EACH ROW "
        f"WHEN (NEW.finished_at IS NOT NULL AND OLD.finished_at IS NULL AND {finished}) "
        "EXECUTE FUNCTION wfe_run_finished()"
    )


def replace_guard(moves: tuple[str, ...]) -> None:
    """Put the trigger that refuses every move not listed in the place of the one there is."""
    legal = ", ".join(f"'{move}'" for move in moves)
    op.execute("DROP TRIGGER runs_transition_guard ON runs")
    op.execute(
        "CREATE TRIGGER runs_transition_guard BEFORE UPDATE ON runs FOR EACH ROW "
        f"WHEN (OLD.state IS DISTINCT FROM NEW.state AND (OLD.state || '>' || NEW.state) NOT IN ({legal})) "
        "EXECUTE FUNCTION wfe_refuse_transition()"
    )
