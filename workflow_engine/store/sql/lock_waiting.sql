-- lock_waiting.sql: hold the steps of a run that wait for a signal, or will, or did. Index: steps_pkey.
SELECT position, state, attempt, started_at
  FROM steps
 WHERE run_id = %(run_id)s
   AND position = ANY(%(positions)s::integer[])
 ORDER BY position                        -- one order for everybody: no deadlock
   FOR UPDATE
