"""How often a step's message was sent again.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; a constant default rewrites no row."""
    op.add_column("steps", sa.Column("resends", sa.SmallInteger, nullable=False, server_default="0"))


def downgrade() -> None:
    """Drop it: what is lost is only how patient the next look would have been."""
    op.drop_column("steps", "resends")
