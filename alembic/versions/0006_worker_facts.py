"""Workers say which queues they serve, in which pool and how many tasks at once.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; workers of the previous release leave them empty."""
    op.add_column("workers", sa.Column("queues", ARRAY(sa.Text), nullable=False, server_default="{}"))
    op.add_column("workers", sa.Column("pool", sa.Text))
    op.add_column("workers", sa.Column("concurrency", sa.Integer))


def downgrade() -> None:
    """Drop them; workers fill them anew with their next heartbeat."""
    for column in ("concurrency", "pool", "queues"):
        op.drop_column("workers", column)
