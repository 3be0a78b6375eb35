"""What Celery's result backend keeps: results of ordinary tasks, saved groups, and chords."""

from sqlalchemy import CheckConstraint, Column, DateTime, Index, Integer, LargeBinary, Table, Text, text

from workflow_engine.store.tables.metadata import metadata

NOW = text("clock_timestamp()")


def _payload(prefix: str = "", *, nullable: bool = False) -> list[Column[str]]:
    """Say how a row's payloads were encoded, for readers with another serializer."""
    return [
        Column(f"{prefix}content_type", Text, nullable=nullable),
        Column(f"{prefix}content_encoding", Text, nullable=nullable),
    ]


task_results = Table(
    "task_results",
    metadata,
    Column("task_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("result", LargeBinary),
    *_payload(),
    Column("traceback", Text),
    Column("children", LargeBinary),
    Column("date_done", DateTime(timezone=True)),
    Column("group_id", Text),
    Column("parent_id", Text),
    Column("name", Text),
    Column("worker", Text),
    Column("retries", Integer),
    Column("queue", Text),
    Column("details", LargeBinary),
    Column("stored_at", DateTime(timezone=True), nullable=False, server_default=NOW),
    Column("expires_at", DateTime(timezone=True)),
    Index("task_results_expires_at_idx", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
    comment="A Celery task's state (Celery's words), result and, with result_extended, its request.",
)

task_groups = Table(
    "task_groups",
    metadata,
    Column("group_id", Text, primary_key=True),
    Column("result", LargeBinary, nullable=False),
    *_payload(),
    Column("saved_at", DateTime(timezone=True), nullable=False, server_default=NOW),
    Column("expires_at", DateTime(timezone=True)),
    Index("task_groups_expires_at_idx", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
    comment="GroupResult.save(): which results belong to a group.",
)

chords = Table(
    "chords",
    metadata,
    Column("group_id", Text, primary_key=True),
    Column("size", Integer),
    Column("extra", Integer, nullable=False, server_default="0"),
    Column("arrived", Integer, nullable=False, server_default="0"),
    Column("structure", LargeBinary),
    Column("body", LargeBinary),
    *_payload("structure_", nullable=True),
    *_payload("body_", nullable=True),
    Column("touched_at", DateTime(timezone=True), nullable=False, server_default=NOW),
    Column("completed_at", DateTime(timezone=True)),
    Column("closed_at", DateTime(timezone=True)),
    CheckConstraint("arrived >= 0", name="arrived"),
    # chord_overdue.sql: a body that is due and was never confirmed as sent; nearly always empty
    Index(
        "chords_overdue_idx",
        "completed_at",
        postgresql_where=text("completed_at IS NOT NULL AND closed_at IS NULL"),
    ),
    Index("chords_closed_at_idx", "closed_at", postgresql_where=text("closed_at IS NOT NULL")),
    postgresql_with={"fillfactor": "70"},  # the counter changes in place (HOT): no index on touched_at
    comment=(
        "One row a chord. size is unknown until the last part is being published; complete is "
        "arrived >= size + extra; closed is the body confirmed as sent, or failed."
    ),
)

chord_parts = Table(
    "chord_parts",
    metadata,
    Column("group_id", Text, primary_key=True),
    Column("task_id", Text, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    Column("result", LargeBinary),
    *_payload(),
    Column("errbacks", LargeBinary),
    Column("deliveries", Integer, nullable=False, server_default="1"),
    comment=(
        "A finished part of an open chord, counted when deliveries becomes 1. No foreign key to chords: "
        "it would lock the chord's row a second time for each part; closing a chord deletes its parts."
    ),
)
