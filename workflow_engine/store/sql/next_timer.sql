-- next_timer.sql: when the next timer is due, in seconds since 1970 and from now. Index: timers_due_idx.
SELECT extract(epoch FROM due_at)::float8 AS due_epoch,
       extract(epoch FROM due_at - clock_timestamp())::float8 AS seconds
  FROM timers
 WHERE kind = ANY(%(kinds)s)
 ORDER BY due_at
 LIMIT 1
