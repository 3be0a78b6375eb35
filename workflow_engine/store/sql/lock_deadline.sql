-- lock_deadline.sql: hold a run's row and see when it is due.
SELECT state, plan_id, due_at, remind_before
  FROM runs
 WHERE id = %(run_id)s
   FOR UPDATE
