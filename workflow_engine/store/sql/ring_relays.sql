-- ring_relays.sql: tell every relay, when this transaction commits, that there are events.
SELECT pg_notify('wfe_events', '')
