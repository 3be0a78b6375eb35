-- log_oldest.sql: the smallest position that the log still has. Index: events_pkey.
SELECT min(id) AS oldest FROM events
