-- hold_first_step.sql: hold a run's first step, and so wait for whoever else is about to move many steps of the run.
-- A statement of its own: the next one then sees every step as that other left it.
SELECT position
  FROM steps
 WHERE run_id = %(run_id)s
   AND position = 0
   FOR UPDATE
