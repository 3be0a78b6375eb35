-- resume_run.sql: a paused run goes on; it is pending again if nothing of it had started. The caller holds its steps.
UPDATE runs
   SET state = CASE WHEN started_at IS NULL THEN 'pending' ELSE 'running' END, sinks_left = %(sinks)s
 WHERE id = %(run_id)s
   AND state = 'paused'
RETURNING state
