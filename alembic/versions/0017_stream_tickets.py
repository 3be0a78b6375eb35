"""Tickets for streams of events.

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "stream_tickets",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("caller", postgresql.JSONB(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("stream_tickets_pkey")),
        comment="Tickets for streams of events, each good once. Not logged: a crash takes them, and callers ask again.",
        prefixes=["UNLOGGED"],
    )
    op.create_index("stream_tickets_expires_at_idx", "stream_tickets", ["expires_at"])


def downgrade() -> None:
    """Drop it; callers ask for other tickets."""
    op.drop_table("stream_tickets")
