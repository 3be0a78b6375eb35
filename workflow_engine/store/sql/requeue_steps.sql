-- requeue_steps.sql: steps that had failed or were cancelled are ready, with all their attempts before them. The caller
-- holds them.
UPDATE steps
   SET state = 'ready', ready_at = clock_timestamp(), finished_at = NULL, missing = 0, losses = 0, forgiven = attempt
 WHERE run_id = %(run_id)s
   AND position = ANY(%(positions)s::integer[])
   AND state IN ('failed', 'cancelled')
