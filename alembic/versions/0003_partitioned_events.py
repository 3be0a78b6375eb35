"""The event log in monthly partitions, with all that an envelope says; the submitter's trace context.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

REFUSE_CHANGE = """
CREATE FUNCTION wfe_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$
"""

PUBLISH_DEFERRED = """
CREATE FUNCTION wfe_publish_deferred() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO events (run_id, plan_id, namespace, correlation_id, traceparent, name, occurred_at, data)
    VALUES (NEW.run_id, NEW.plan_id, NEW.namespace, NEW.correlation_id, NEW.traceparent, NEW.name, NEW.occurred_at,
            NEW.data);
    DELETE FROM deferred_events WHERE run_id = NEW.run_id;
    PERFORM pg_notify('wfe_events', '');
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    """Move the log into partitions."""
    op.add_column("runs", sa.Column("traceparent", sa.Text(), nullable=True))
    op.execute("ALTER TABLE events ALTER COLUMN id DROP IDENTITY")
    op.execute("ALTER TABLE events RENAME TO events_unpartitioned")
    op.execute("ALTER TABLE events_unpartitioned DROP CONSTRAINT events_pkey")
    op.execute("DROP INDEX events_run_idx")
    op.execute("CREATE SEQUENCE events_id_seq")
    op.execute("SELECT setval('events_id_seq', coalesce(max(id), 0) + 1, false) FROM events_unpartitioned")
    create_events()
    create_partitions()
    op.execute(
        "INSERT INTO events (id, run_id, plan_id, namespace, correlation_id, name, version, step, attempt, "
        "occurred_at, data) "
        "SELECT old.id, old.run_id, runs.plan_id, old.namespace, old.correlation_id, old.name, old.version, old.step, "
        "old.attempt, old.occurred_at, old.data "
        "FROM events_unpartitioned AS old LEFT JOIN runs ON runs.id = old.run_id ORDER BY old.id"
    )
    op.drop_table("events_unpartitioned")
    op.execute(REFUSE_CHANGE)
    op.execute(
        "CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE ON events FOR EACH ROW "
        "EXECUTE FUNCTION wfe_refuse_change()"
    )
    create_deferred_events()


def downgrade() -> None:
    """Put the log back into one table; events that are about no run are lost with their columns."""
    op.drop_table("deferred_events")
    op.execute("DROP FUNCTION wfe_publish_deferred()")
    op.execute("ALTER TABLE events RENAME TO events_partitioned")
    op.execute("ALTER INDEX events_run_idx RENAME TO events_partitioned_run_idx")
    op.execute("ALTER TABLE events_partitioned RENAME CONSTRAINT events_pkey TO events_partitioned_pkey")
    op.execute("ALTER TABLE events_partitioned ALTER COLUMN id DROP DEFAULT")
    op.execute("DROP SEQUENCE events_id_seq")
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
    op.execute(
        "INSERT INTO events (id, run_id, namespace, correlation_id, name, version, step, attempt, occurred_at, data) "
        "OVERRIDING SYSTEM VALUE "
        "SELECT id, run_id, namespace, correlation_id, name, version, step, attempt, occurred_at, data "
        "FROM events_partitioned WHERE run_id IS NOT NULL AND correlation_id IS NOT NULL ORDER BY id"
    )
    op.execute("SELECT setval('events_id_seq', coalesce(max(id), 0) + 1, false) FROM events")
    op.drop_table("events_partitioned")
    op.create_index("events_run_idx", "events", ["run_id", "id"], unique=False)
    op.execute("DROP FUNCTION wfe_refuse_change()")
    op.drop_column("runs", "traceparent")


def create_events() -> None:
    """The event log."""
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger(), server_default=sa.text("nextval('events_id_seq')"), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("plan_id", sa.BigInteger(), nullable=True),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=True),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.SmallInteger(), server_default="1", nullable=False),
        sa.Column("step", sa.Text(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("cause", sa.Text(), nullable=True),
        sa.Column(
            "occurred_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("data", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("id", "occurred_at", name=op.f("events_pkey")),
        comment="A fact a row, written in the transaction of the change it tells of.",
        postgresql_partition_by="RANGE (occurred_at)",
    )
    op.create_index("events_run_idx", "events", ["run_id", "id"], unique=False)
    op.execute("ALTER SEQUENCE events_id_seq OWNED BY events.id")


def create_partitions() -> None:
    """The months there are events of, this one and the next three; later ones the coordinator makes."""
    op.execute("CREATE TABLE events_default PARTITION OF events DEFAULT")
    op.execute(
        """
        DO $$
        DECLARE month timestamp;
        BEGIN
            FOR month IN
                SELECT generate_series(
                    date_trunc('month', least(min(occurred_at), now()) AT TIME ZONE 'UTC'),
                    date_trunc('month', now() AT TIME ZONE 'UTC') + interval '3 months',
                    interval '1 month')
                  FROM events_unpartitioned
            LOOP
                EXECUTE format(
                    'CREATE TABLE %I PARTITION OF events FOR VALUES FROM (%L) TO (%L)',
                    'events_' || to_char(month, 'YYYY_MM'), month AT TIME ZONE 'UTC',
                    (month + interval '1 month') AT TIME ZONE 'UTC');
            END LOOP;
        END $$
        """
    )


def create_deferred_events() -> None:
    """Events of somebody's own transaction, which may be long: they get their place in the log at its commit."""
    op.create_table(
        "deferred_events",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("plan_id", sa.BigInteger(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("correlation_id", sa.Text(), nullable=False),
        sa.Column("traceparent", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("deferred_events_pkey")),
        comment="The events of submits inside a caller's transaction, until its commit; else empty.",
    )
    op.execute(PUBLISH_DEFERRED)
    op.execute(
        "CREATE CONSTRAINT TRIGGER deferred_events_published AFTER INSERT ON deferred_events "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wfe_publish_deferred()"
    )
