-- log_head.sql: the largest position of the log that is visible. Index: events_pkey.
SELECT coalesce(max(id), 0) AS head FROM events
