"""Celery's results, saved groups and chords.

Revision ID: 0002
Revises: 0001
"""

from collections.abc import Sequence

import sqlalchemy as sa

from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_NOW = sa.text("clock_timestamp()")
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add what the result backend keeps."""
    _create_task_results()
    _create_task_groups()
    _create_chords()
    _create_chord_parts()


def downgrade() -> None:
    """Drop it; Celery's results are lost, the engine's are not."""
    for table in ("chord_parts", "chords", "task_groups", "task_results"):
        op.drop_table(table)


def _create_task_results() -> None:
    op.create_table(
        "task_results",
        sa.Column("task_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("result", sa.LargeBinary),
        sa.Column("content_type", sa.Text, nullable=False),
        sa.Column("content_encoding", sa.Text, nullable=False),
        sa.Column("traceback", sa.Text),
        sa.Column("children", sa.LargeBinary),
        sa.Column("date_done", _MOMENT),
        sa.Column("group_id", sa.Text),
        sa.Column("parent_id", sa.Text),
        sa.Column("name", sa.Text),
        sa.Column("worker", sa.Text),
        sa.Column("retries", sa.Integer),
        sa.Column("queue", sa.Text),
        sa.Column("details", sa.LargeBinary),
        sa.Column("stored_at", _MOMENT, nullable=False, server_default=_NOW),
        sa.Column("expires_at", _MOMENT),
        sa.PrimaryKeyConstraint("task_id", name="task_results_pkey"),
        comment="A Celery task's state (Celery's words), result and, with result_extended, its request.",
    )
    _index_expiry("task_results")


def _create_task_groups() -> None:
    op.create_table(
        "task_groups",
        sa.Column("group_id", sa.Text, nullable=False),
        sa.Column("result", sa.LargeBinary, nullable=False),
        sa.Column("content_type", sa.Text, nullable=False),
        sa.Column("content_encoding", sa.Text, nullable=False),
        sa.Column("saved_at", _MOMENT, nullable=False, server_default=_NOW),
        sa.Column("expires_at", _MOMENT),
        sa.PrimaryKeyConstraint("group_id", name="task_groups_pkey"),
        comment="GroupResult.save(): which results belong to a group.",
    )
    _index_expiry("task_groups")


def _create_chords() -> None:
    op.create_table(
        "chords",
        sa.Column("group_id", sa.Text, nullable=False),
        sa.Column("size", sa.Integer),
        sa.Column("extra", sa.Integer, nullable=False, server_default="0"),
        sa.Column("arrived", sa.Integer, nullable=False, server_default="0"),
        sa.Column("structure", sa.LargeBinary),
        sa.Column("body", sa.LargeBinary),
        sa.Column("structure_content_type", sa.Text),
        sa.Column("structure_content_encoding", sa.Text),
        sa.Column("body_content_type", sa.Text),
        sa.Column("body_content_encoding", sa.Text),
        sa.Column("touched_at", _MOMENT, nullable=False, server_default=_NOW),
        sa.Column("completed_at", _MOMENT),
        sa.Column("closed_at", _MOMENT),
        sa.PrimaryKeyConstraint("group_id", name="chords_pkey"),
        sa.CheckConstraint("arrived >= 0", name=op.f("chords_arrived_check")),
        postgresql_with={"fillfactor": "70"},
        comment=(
            "One row a chord. size is unknown until the last part is being published; complete is "
            "arrived >= size + extra; closed is the body confirmed as sent, or failed."
        ),
    )
    op.create_index(
        "chords_overdue_idx",
        "chords",
        ["completed_at"],
        postgresql_where=sa.text("completed_at IS NOT NULL AND closed_at IS NULL"),
    )
    op.create_index("chords_closed_at_idx", "chords", ["closed_at"], postgresql_where=sa.text("closed_at IS NOT NULL"))


def _create_chord_parts() -> None:
    op.create_table(
        "chord_parts",
        sa.Column("group_id", sa.Text, nullable=False),
        sa.Column("task_id", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("result", sa.LargeBinary),
        sa.Column("content_type", sa.Text, nullable=False),
        sa.Column("content_encoding", sa.Text, nullable=False),
        sa.Column("errbacks", sa.LargeBinary),
        sa.Column("deliveries", sa.Integer, nullable=False, server_default="1"),
        sa.PrimaryKeyConstraint("group_id", "task_id", "position", name="chord_parts_pkey"),
        comment=(
            "A finished part of an open chord, counted when deliveries becomes 1. No foreign key to chords: "
            "it would lock the chord's row a second time for each part; closing a chord deletes its parts."
        ),
    )


def _index_expiry(table: str) -> None:
    op.create_index(
        f"{table}_expires_at_idx",
        table,
        ["expires_at"],
        postgresql_where=sa.text("expires_at IS NOT NULL"),
    )
