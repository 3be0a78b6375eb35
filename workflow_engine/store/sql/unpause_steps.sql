-- unpause_steps.sql: a run is paused no longer. The caller holds its steps.
UPDATE steps
   SET settle = %(level)s
 WHERE run_id = %(run_id)s
   AND finished_at IS NULL
   AND settle < 0
