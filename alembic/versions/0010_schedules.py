"""Schedules, what became of their occurrences, and the runs that they started.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_NOW = sa.text("clock_timestamp()")
_MOMENT = sa.DateTime(timezone=True)

TIMED = """
CREATE FUNCTION wfe_schedule_timed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    subject bigint := CASE WHEN TG_OP = 'DELETE' THEN OLD.id ELSE NEW.id END;
BEGIN
    -- A timer that is being fired is left alone: whoever fires it waits for this schedule, and then sees the change.
    DELETE FROM timers WHERE id IN (SELECT id FROM timers WHERE schedule_id = subject FOR UPDATE SKIP LOCKED);
    IF TG_OP <> 'DELETE' AND NEW.next_at IS NOT NULL THEN
        INSERT INTO timers (kind, due_at, schedule_id) VALUES ('schedule', NEW.next_at, NEW.id);
    END IF;
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    """Make the tables, and the trigger that keeps each schedule's timer."""
    create_schedules()
    create_occurrences()
    op.add_column("runs", sa.Column("schedule_id", sa.BigInteger(), nullable=True))
    op.create_index(
        "runs_schedule_idx",
        "runs",
        ["schedule_id", "id"],
        postgresql_where=sa.text("schedule_id IS NOT NULL AND finished_at IS NULL"),
    )
    op.create_index(
        "timers_schedule_idx",
        "timers",
        ["schedule_id"],
        postgresql_where=sa.text("schedule_id IS NOT NULL"),
    )
    op.execute(TIMED)
    op.execute(
        "CREATE TRIGGER schedules_timed AFTER INSERT OR DELETE OR UPDATE OF next_at ON schedules "
        "FOR EACH ROW EXECUTE FUNCTION wfe_schedule_timed()"
    )


def downgrade() -> None:
    """Forget the schedules; the runs they started stay."""
    op.drop_table("occurrences")
    op.drop_table("schedules")
    op.execute("DROP FUNCTION wfe_schedule_timed()")
    op.execute("DELETE FROM timers WHERE schedule_id IS NOT NULL")
    op.drop_index("timers_schedule_idx", "timers")
    op.drop_index("runs_schedule_idx", "runs")
    op.drop_column("runs", "schedule_id")


def create_schedules() -> None:
    """What starts runs again and again."""
    op.create_table(
        "schedules",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("input", postgresql.JSON(), nullable=True),
        sa.Column("input_digest", sa.Text(), nullable=False),
        sa.Column("options", postgresql.JSONB(), nullable=False),
        sa.Column("cron", sa.Text(), nullable=True),
        sa.Column("rrule", sa.Text(), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("starts_at", _MOMENT, nullable=True),
        sa.Column("ends_at", _MOMENT, nullable=True),
        sa.Column("anchor_at", _MOMENT, nullable=False),
        sa.Column("catch_up", sa.Text(), nullable=False),
        sa.Column("overlap", sa.Text(), nullable=False),
        sa.Column("paused_at", _MOMENT, nullable=True),
        sa.Column("next_at", _MOMENT, nullable=True),
        sa.Column("last_at", _MOMENT, nullable=True),
        sa.Column("created_at", _MOMENT, server_default=_NOW, nullable=False),
        sa.Column("updated_at", _MOMENT, server_default=_NOW, nullable=False),
        sa.CheckConstraint("(cron IS NULL) <> (rrule IS NULL)", name=op.f("schedules_one_rule_check")),
        sa.CheckConstraint("catch_up IN ('all', 'latest', 'none')", name=op.f("schedules_catch_up_check")),
        sa.CheckConstraint("overlap IN ('allow', 'skip', 'cancel_running')", name=op.f("schedules_overlap_check")),
        sa.CheckConstraint("paused_at IS NULL OR next_at IS NULL", name=op.f("schedules_paused_is_not_due_check")),
        sa.CheckConstraint("starts_at < ends_at", name=op.f("schedules_starts_before_it_ends_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("schedules_pkey")),
        comment="What starts runs of a workflow again and again; a trigger keeps a timer at its next_at.",
    )
    op.create_index("schedules_name_key", "schedules", ["namespace", "name"], unique=True)


def create_occurrences() -> None:
    """What became of each occurrence."""
    op.create_table(
        "occurrences",
        sa.Column("schedule_id", sa.BigInteger(), nullable=False),
        sa.Column("occurs_at", _MOMENT, nullable=False),
        sa.Column("until", _MOMENT, nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("skipped", sa.Text(), nullable=True),
        sa.Column("recorded_at", _MOMENT, server_default=_NOW, nullable=False),
        sa.CheckConstraint("(run_id IS NULL) <> (skipped IS NULL)", name=op.f("occurrences_fired_or_skipped_check")),
        sa.CheckConstraint("skipped IN ('late', 'overlap')", name=op.f("occurrences_skipped_check")),
        sa.CheckConstraint(
            "until = occurs_at OR (until > occurs_at AND run_id IS NULL)", name=op.f("occurrences_until_check")
        ),
        sa.ForeignKeyConstraint(
            ["schedule_id"], ["schedules.id"], name=op.f("occurrences_schedule_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("schedule_id", "occurs_at", name=op.f("occurrences_pkey")),
        comment="What became of an occurrence, once and for all; several in a row that were skipped are one row.",
    )
