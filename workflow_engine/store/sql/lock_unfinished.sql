-- lock_unfinished.sql: hold every unfinished step of a run, so that nobody else moves one until we commit.
SELECT position, state, attempt
  FROM steps
 WHERE run_id = %(run_id)s
   AND finished_at IS NULL
 ORDER BY position                        -- one order for everybody: no deadlock
   FOR UPDATE
