"""Find all signals of a run, when it is deleted.

Revision ID: 0019
Revises: 0018
"""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Give the foreign key an index: the others leave out what is consumed or has no key."""
    op.create_index("signals_run_idx", "signals", ["run_id"], unique=False)


def downgrade() -> None:
    """Read all of them again for each run that is deleted."""
    op.drop_index("signals_run_idx", table_name="signals")
