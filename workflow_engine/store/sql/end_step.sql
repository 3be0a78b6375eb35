-- end_step.sql: an attempt ends without success, for good.
UPDATE steps
   SET state = %(to_state)s, finished_at = clock_timestamp(), error = coalesce(%(error)s::jsonb, error)
 WHERE run_id = %(run_id)s
   AND position = %(position)s
   AND attempt = %(attempt)s
   AND state = 'running'
RETURNING dispatched_at, started_at
