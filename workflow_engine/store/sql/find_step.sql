-- find_step.sql: one step of a run as whoever resolves it by hand must know it. The caller holds it.
SELECT state, attempt, settle, result::text AS result
  FROM steps
 WHERE run_id = %(run_id)s
   AND position = %(position)s
