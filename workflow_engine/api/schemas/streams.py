"""What a ticket for a stream looks like."""

from datetime import datetime

from pydantic import BaseModel, Field


class Ticket(BaseModel):
    """A ticket: opens one stream, once."""

    ticket: str = Field(examples=["dTk0n9Qm3Wf0m2m2m7eJb1xkM0mKcV9l6h2sUq1oG3E"], description="For `?ticket=`.")
    expires_at: datetime = Field(examples=["2026-01-31T12:01:00Z"], description="Until when it opens a stream.")
