"""What tells a run that stands still from one that waits.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the limit of a workflow, since when a step goes to and fro, and the standstill that was told of."""
    op.add_column("plans", sa.Column("stale_after", sa.Float(), nullable=True))
    op.add_column("steps", sa.Column("released_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("runs", sa.Column("stale_told", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Forget all three."""
    op.drop_column("runs", "stale_told")
    op.drop_column("steps", "released_since")
    op.drop_column("plans", "stale_after")
