"""Tickets: who may open one stream of events, once, within a minute."""

from sqlalchemy import Column, DateTime, Index, LargeBinary, Table
from sqlalchemy.dialects.postgresql import JSONB

from workflow_engine.store.tables.metadata import metadata

stream_tickets = Table(
    "stream_tickets",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("caller", JSONB, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    # save_ticket.sql
    Index("stream_tickets_expires_at_idx", "expires_at"),
    comment="Tickets for streams of events, each good once. Not logged: a crash takes them, and callers ask again.",
    prefixes=["UNLOGGED"],
)
