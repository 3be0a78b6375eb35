-- retry_run.sql: steps of a run are retried; if it had failed, it runs again. The caller holds it.
UPDATE runs
   SET state = CASE WHEN state = 'failed' THEN 'running' ELSE state END,
       retried_at = CASE WHEN state = 'failed' THEN clock_timestamp() ELSE retried_at END,
       finished_at = NULL,
       error = %(error)s::jsonb,
       sinks_left = %(sinks)s
 WHERE id = %(run_id)s
   AND state IN ('failed', 'running', 'paused')
