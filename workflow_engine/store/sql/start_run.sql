-- start_run.sql: a run begins with a step that no worker claimed; a paused one stays so. The caller holds the run.
UPDATE runs
   SET state = CASE WHEN state = 'pending' THEN 'running' ELSE state END, started_at = clock_timestamp()
 WHERE id = %(run_id)s
   AND state IN ('pending', 'paused')
   AND started_at IS NULL
RETURNING state
