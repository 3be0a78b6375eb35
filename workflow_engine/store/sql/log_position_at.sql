-- log_position_at.sql: the position just before the first event at or after a moment. Reads what is younger than the
-- moment, for there is no index on time: it is asked by people, seldom.
SELECT coalesce(
       (SELECT min(id) - 1 FROM events WHERE occurred_at >= %(moment)s),
       (SELECT max(id) FROM events),
       0) AS position
