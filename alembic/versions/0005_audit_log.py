"""The audit log: a hash chain in monthly partitions that the database lets nobody change.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NOW = sa.text("clock_timestamp()")
_MOMENT = sa.DateTime(timezone=True)

_REFUSE_STEP_BACK = """
CREATE FUNCTION wfe_refuse_step_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% only goes forward: % after % is refused', TG_TABLE_NAME, NEW.number, OLD.number
          USING ERRCODE = 'restrict_violation';
END $$
"""


def upgrade() -> None:
    """Make the tables, their partitions and guards."""
    create_audit_log()
    create_partitions()
    create_audit_head()
    create_audit_anchors()


def downgrade() -> None:
    """Drop the audit log; the subscriber begins anew after another upgrade."""
    for table in ("audit_anchors", "audit_head", "audit_log"):
        op.drop_table(table)
    op.execute("DROP FUNCTION wfe_refuse_step_back()")
    op.execute("DELETE FROM deliveries WHERE subscriber = 'audit'")
    op.execute("DELETE FROM cursors WHERE subscriber = 'audit'")


def create_audit_log() -> None:
    """Every event once."""
    op.create_table(
        "audit_log",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("workflow", sa.Text(), nullable=True),
        sa.Column("step", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=True),
        sa.Column("occurred_at", _MOMENT, nullable=False),
        sa.Column("recorded_at", _MOMENT, nullable=False),
        sa.Column("data", postgresql.JSONB(), nullable=False),
        sa.Column("previous_hash", postgresql.BYTEA(), nullable=False),
        sa.Column("hash", postgresql.BYTEA(), nullable=False),
        sa.PrimaryKeyConstraint("number", "occurred_at", name=op.f("audit_log_pkey")),
        comment="Every event once, in a hash chain by number; rows are added and never changed.",
        postgresql_partition_by="RANGE (occurred_at)",
    )
    op.create_index("audit_log_event_key", "audit_log", ["occurred_at", "event_id"], unique=True)
    op.create_index("audit_log_run_idx", "audit_log", ["run_id", "occurred_at", "number"])
    op.create_index("audit_log_actor_idx", "audit_log", ["actor", "occurred_at", "number"])
    op.execute(
        "CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW "
        "EXECUTE FUNCTION wfe_refuse_change()"
    )


def create_partitions() -> None:
    """The months there are events of, this one and the next three; later ones the coordinator makes."""
    op.execute("CREATE TABLE audit_log_default PARTITION OF audit_log DEFAULT")
    op.execute(
        """
        DO $$
        DECLARE month timestamp; partition text;
        BEGIN
            FOR month IN
                SELECT generate_series(
                    date_trunc('month', least(min(occurred_at), now()) AT TIME ZONE 'UTC'),
                    date_trunc('month', now() AT TIME ZONE 'UTC') + interval '3 months',
                    interval '1 month')
                  FROM events
            LOOP
                EXECUTE format(
                    'CREATE TABLE %I PARTITION OF audit_log FOR VALUES FROM (%L) TO (%L)',
                    'audit_log_' || to_char(month, 'YYYY_MM'), month AT TIME ZONE 'UTC',
                    (month + interval '1 month') AT TIME ZONE 'UTC');
            END LOOP;
            -- PostgreSQL copies triggers for each row to partitions, but not those for a statement.
            FOR partition IN
                SELECT 'audit_log' UNION ALL
                SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'audit_log'::regclass
            LOOP
                EXECUTE format(
                    'CREATE TRIGGER audit_log_kept BEFORE TRUNCATE ON %s FOR EACH STATEMENT '
                    'EXECUTE FUNCTION wfe_refuse_change()', partition);
            END LOOP;
        END $$
        """
    )


def create_audit_head() -> None:
    """Where the chain stands."""
    op.create_table(
        "audit_head",
        sa.Column("is_only", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", postgresql.BYTEA(), nullable=False),
        sa.CheckConstraint("is_only", name=op.f("audit_head_only_check")),
        sa.PrimaryKeyConstraint("is_only", name=op.f("audit_head_pkey")),
        comment="One row: the last number and hash of the audit log. Who adds to the log locks it.",
    )
    op.execute("INSERT INTO audit_head (number, hash) VALUES (0, decode(repeat('00', 32), 'hex'))")
    op.execute(_REFUSE_STEP_BACK)
    op.execute(
        "CREATE TRIGGER audit_head_forward BEFORE UPDATE ON audit_head FOR EACH ROW "
        "WHEN (NEW.number <= OLD.number) EXECUTE FUNCTION wfe_refuse_step_back()"
    )
    op.execute(
        "CREATE TRIGGER audit_head_kept BEFORE DELETE OR TRUNCATE ON audit_head FOR EACH STATEMENT "
        "EXECUTE FUNCTION wfe_refuse_change()"
    )


def create_audit_anchors() -> None:
    """What retention has dropped."""
    op.create_table(
        "audit_anchors",
        sa.Column("first_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("previous_hash", postgresql.BYTEA(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", postgresql.BYTEA(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("dropped_at", _MOMENT, server_default=_NOW, nullable=False),
        sa.CheckConstraint("number >= first_number", name=op.f("audit_anchors_numbers_check")),
        sa.PrimaryKeyConstraint("first_number", name=op.f("audit_anchors_pkey")),
        comment="Audit rows that retention has dropped, a sequence of numbers each: the chain goes on across them.",
    )
    op.execute(
        "CREATE TRIGGER audit_anchors_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_anchors "
        "FOR EACH STATEMENT EXECUTE FUNCTION wfe_refuse_change()"
    )
