-- retry_step.sql: an attempt failed; the next one is due later, counted from the moment that its event tells.
UPDATE steps
   SET state = 'retrying', ready_at = clock_timestamp() + %(delay)s::interval, error = %(error)s::jsonb
 WHERE run_id = %(run_id)s
   AND position = %(position)s
   AND attempt = %(attempt)s
   AND state = 'running'
   AND settle < 2                         -- 2: the run is ending; nothing of it starts again
RETURNING dispatched_at, started_at, ready_at - %(delay)s::interval AS failed_at
