-- retry_step.sql: an attempt failed; the next one is due later.
UPDATE steps
   SET state = 'retrying', ready_at = clock_timestamp() + %(delay)s, error = %(error)s::jsonb
 WHERE run_id = %(run_id)s
   AND position = %(position)s
   AND attempt = %(attempt)s
   AND state = 'running'
   AND settle < 2                         -- 2: the run is ending; nothing of it starts again
RETURNING dispatched_at, started_at
