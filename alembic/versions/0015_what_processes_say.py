"""Workers, coordinators and relays say which release they are, and what time it is to them.

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_TABLES = ("workers", "leaders", "relays")


def upgrade() -> None:
    """Add the columns; processes of the previous release leave them empty."""
    for table in _TABLES:
        op.add_column(table, sa.Column("release", sa.Text))
        op.add_column(table, sa.Column("clock_ahead", sa.Float))
    op.add_column("workers", sa.Column("workflows", ARRAY(sa.Text)))


def downgrade() -> None:
    """Drop them; the next heartbeat fills them anew."""
    op.drop_column("workers", "workflows")
    for table in _TABLES:
        op.drop_column(table, "clock_ahead")
        op.drop_column(table, "release")
