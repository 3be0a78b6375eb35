"""What the relay keeps: cursors, the relays that share them, and deliveries that failed."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from workflow_engine.store.tables.metadata import metadata
from workflow_engine.store.tables.runs import NOW

MOMENT = DateTime(timezone=True)

cursors = Table(
    "cursors",
    metadata,
    Column("subscriber", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("generation", BigInteger, nullable=False, server_default="0"),
    Column("owner", Uuid),
    Column("lease_until", MOMENT),
    Column("resting_since", MOMENT),
    Column("registered_at", MOMENT, nullable=False, server_default=NOW),
    Column("advanced_at", MOMENT, nullable=False, server_default=NOW),
    CheckConstraint("(owner IS NULL) = (lease_until IS NULL)", name="lease_iff_owner"),
    CheckConstraint("position >= 0", name="position"),
    comment="How far a durable subscriber has read the event log, and which relay delivers to it until when.",
    postgresql_with={"fillfactor": "50"},  # few rows that change all the time: in place (HOT), no index but the key
)

relays = Table(
    "relays",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("subscribers", ARRAY(Text), nullable=False),
    Column("started_at", MOMENT, nullable=False, server_default=NOW),
    Column("heartbeat_at", MOMENT, nullable=False, server_default=NOW),
    Column("release", Text),
    Column("clock_ahead", Float),
    comment="A row for each relay process; those whose heartbeat is recent share the cursors.",
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("subscriber", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("event_id", Uuid, nullable=False),
    Column("event_name", Text, nullable=False),
    Column("run_id", Uuid),
    Column("namespace", Text, nullable=False),
    Column("envelope", JSONB, nullable=False),
    Column("state", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("due_at", MOMENT),
    Column("error_class", Text),
    Column("message", Text),
    Column("created_at", MOMENT, nullable=False, server_default=NOW),
    Column("failed_at", MOMENT),
    CheckConstraint("state IN ('dead', 'parked')", name="state"),
    CheckConstraint("state = 'parked' OR due_at IS NULL", name="dead_is_not_due"),
    CheckConstraint("state = 'parked' OR failed_at IS NOT NULL", name="dead_has_failed"),
    # due_deliveries.sql: is the head of this run's queue due?
    Index("deliveries_parked_idx", "subscriber", "run_id", "position", postgresql_where=text("state = 'parked'")),
    # page_dead_letters.sql, page_cursors.sql
    Index("deliveries_dead_idx", "subscriber", "position", postgresql_where=text("state = 'dead'")),
    # page_dead_letters.sql: by the event's id
    Index("deliveries_event_idx", "event_id"),
    comment=(
        "Events that a subscriber failed on, and later ones of the same runs that wait behind them: parked until "
        "due, or dead until a person requeues or discards them."
    ),
)
