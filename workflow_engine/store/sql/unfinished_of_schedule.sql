-- unfinished_of_schedule.sql: runs of a schedule that have not ended, oldest first. Index: runs_schedule_idx.
SELECT id::text AS run_id, state
  FROM runs
 WHERE schedule_id = %(schedule_id)s
   AND finished_at IS NULL
 ORDER BY id
 LIMIT %(limit)s
