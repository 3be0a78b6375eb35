"""Live streams of events (SSE): a hub with the one tail of the event log, and a stream for each client."""
