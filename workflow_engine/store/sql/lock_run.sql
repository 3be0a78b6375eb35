-- lock_run.sql: hold a run's row. Steps are always locked first, the run last.
SELECT runs.state, runs.plan_id, runs.error, runs.error ->> 'step' AS failed_step
  FROM runs
 WHERE runs.id = %(run_id)s
   FOR UPDATE
