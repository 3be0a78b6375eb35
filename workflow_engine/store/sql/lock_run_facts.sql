-- lock_run_facts.sql: hold a run's row and see what is said about it.
SELECT state, plan_id, priority, title, description, tags, metadata
  FROM runs
 WHERE id = %(run_id)s
   FOR UPDATE
