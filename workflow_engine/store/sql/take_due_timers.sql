-- take_due_timers.sql: take timers that have come due, earliest first; what another transaction is firing is skipped.
-- They are gone only when this transaction commits, with all that they led to. Index: timers_due_idx.
WITH due AS (
    SELECT id
      FROM timers
     WHERE due_at <= clock_timestamp()
       AND kind = ANY(%(kinds)s)
     ORDER BY due_at
     LIMIT %(limit)s
       FOR UPDATE SKIP LOCKED
)
DELETE FROM timers
 USING due
 WHERE timers.id = due.id
RETURNING timers.kind, timers.due_at, clock_timestamp() - timers.due_at AS late, timers.run_id::text AS run_id,
          timers.position, timers.attempt, timers.schedule_id, timers.data
