-- lock_steps.sql: hold every step of a run, finished or not, so that nobody else moves one until we commit.
SELECT position, state, attempt, error, finished_at
  FROM steps
 WHERE run_id = %(run_id)s
 ORDER BY position                        -- one order for everybody: no deadlock
   FOR UPDATE
