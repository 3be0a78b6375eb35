"""Settings of live streams of events: ``[streams]``."""

from pydantic import Field

from workflow_engine.config.section import Section


class Streams(Section):
    """Live streams of events (SSE)."""

    most: int = Field(default=10_000, ge=1, le=1_000_000, description="Streams that one process of the API has open.")
    buffer: int = Field(
        default=500,
        ge=10,
        le=100_000,
        description="Events that may wait for one client; of a slower one the oldest are left out, and it is told.",
    )
    heartbeat_seconds: float = Field(
        default=20.0, ge=0.5, le=300, description="How long a stream is silent before it sends a heartbeat."
    )
    retry_seconds: float = Field(
        default=2.0, ge=0, le=300, description="How long a browser waits before it connects again."
    )
    user_rate: int = Field(
        default=10,
        ge=0,
        le=10_000,
        description="Events a second on a stream of a user's own runs (`mine=true`); more are told of by one notice. "
        "0: any number.",
    )
