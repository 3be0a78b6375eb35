-- lose_step.sql: the process that ran an attempt is gone; the step is ready again.
UPDATE steps
   SET state = 'ready', ready_at = clock_timestamp(), losses = losses + 1, error = %(error)s::jsonb
 WHERE run_id = %(run_id)s
   AND position = %(position)s
   AND attempt = %(attempt)s
   AND state = 'running'
   AND losses < %(limit)s
   AND settle < 2                         -- 2: the run is ending; nothing of it starts again
RETURNING dispatched_at, started_at
