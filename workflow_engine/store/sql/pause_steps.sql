-- pause_steps.sql: a run is paused: what its steps set free waits. Not where it is ending, and nothing starts anyway. The
-- caller holds them.
UPDATE steps
   SET settle = -1
 WHERE run_id = %(run_id)s
   AND finished_at IS NULL
   AND settle < 2
