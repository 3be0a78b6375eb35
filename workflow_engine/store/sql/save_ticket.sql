-- save_ticket.sql: keep a ticket, and drop those that nobody used in time. Index: stream_tickets_expires_at_idx.
WITH unused AS (DELETE FROM stream_tickets WHERE expires_at < clock_timestamp())
INSERT INTO stream_tickets (digest, caller, expires_at)
VALUES (%(digest)s, %(caller)s::jsonb, clock_timestamp() + make_interval(secs => %(seconds)s))
RETURNING expires_at
