-- cancel_suspended.sql: cancel steps that wait without a worker, and what would wake them. The caller holds them.
WITH cancelled AS (
    UPDATE steps
       SET state = 'cancelled', finished_at = clock_timestamp()
     WHERE run_id = %(run_id)s
       AND position = ANY(%(positions)s::integer[])
       AND state = 'suspended'
 RETURNING position, attempt, dispatched_at, started_at
), idle AS (                              -- one that is being fired finds its step cancelled
    SELECT id
      FROM timers
     WHERE run_id = %(run_id)s
       AND position = ANY(%(positions)s::integer[])
       AND kind = 'wake'
       FOR UPDATE SKIP LOCKED
), dropped AS (
    DELETE FROM timers USING idle WHERE timers.id = idle.id
)
SELECT position, attempt, dispatched_at, started_at FROM cancelled ORDER BY position
