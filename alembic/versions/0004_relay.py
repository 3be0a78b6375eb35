"""What the relay keeps: a cursor for each subscriber, the relays that share them, deliveries that failed.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_NOW = sa.text("clock_timestamp()")
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    create_cursors()
    create_relays()
    create_deliveries()


def downgrade() -> None:
    """Drop them: subscribers begin anew, dead letters of theirs are lost."""
    for table in ("deliveries", "relays", "cursors"):
        op.drop_table(table)


def create_cursors() -> None:
    """How far each subscriber has read."""
    op.create_table(
        "cursors",
        sa.Column("subscriber", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("generation", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("owner", sa.Uuid(), nullable=True),
        sa.Column("lease_until", _MOMENT, nullable=True),
        sa.Column("resting_since", _MOMENT, nullable=True),
        sa.Column("registered_at", _MOMENT, server_default=_NOW, nullable=False),
        sa.Column("advanced_at", _MOMENT, server_default=_NOW, nullable=False),
        sa.CheckConstraint("(owner IS NULL) = (lease_until IS NULL)", name=op.f("cursors_lease_iff_owner_check")),
        sa.CheckConstraint("position >= 0", name=op.f("cursors_position_check")),
        sa.PrimaryKeyConstraint("subscriber", name=op.f("cursors_pkey")),
        comment="How far a durable subscriber has read the event log, and which relay delivers to it until when.",
        postgresql_with={"fillfactor": "50"},
    )


def create_relays() -> None:
    """The relays that are alive."""
    op.create_table(
        "relays",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("subscribers", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("started_at", _MOMENT, server_default=_NOW, nullable=False),
        sa.Column("heartbeat_at", _MOMENT, server_default=_NOW, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("relays_pkey")),
        comment="A row for each relay process; those whose heartbeat is recent share the cursors.",
    )


def create_deliveries() -> None:
    """Deliveries that failed."""
    op.create_table(
        "deliveries",
        sa.Column("subscriber", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("event_name", sa.Text(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("envelope", postgresql.JSONB(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_at", _MOMENT, nullable=True),
        sa.Column("error_class", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("created_at", _MOMENT, server_default=_NOW, nullable=False),
        sa.Column("failed_at", _MOMENT, nullable=True),
        sa.CheckConstraint("state IN ('dead', 'parked')", name=op.f("deliveries_state_check")),
        sa.CheckConstraint("state = 'parked' OR due_at IS NULL", name=op.f("deliveries_dead_is_not_due_check")),
        sa.CheckConstraint("state = 'parked' OR failed_at IS NOT NULL", name=op.f("deliveries_dead_has_failed_check")),
        sa.PrimaryKeyConstraint("subscriber", "position", name=op.f("deliveries_pkey")),
        comment=(
            "Events that a subscriber failed on, and later ones of the same runs that wait behind them: parked until "
            "due, or dead until a person requeues or discards them."
        ),
    )
    op.create_index(
        "deliveries_parked_idx",
        "deliveries",
        ["subscriber", "run_id", "position"],
        postgresql_where=sa.text("state = 'parked'"),
    )
    op.create_index(
        "deliveries_dead_idx",
        "deliveries",
        ["subscriber", "position"],
        postgresql_where=sa.text("state = 'dead'"),
    )
    op.create_index("deliveries_event_idx", "deliveries", ["event_id"])
