-- find_expired.sql: runs that did not start in time. Index: runs_unfinished_idx.
SELECT id::text AS run_id
  FROM runs
 WHERE finished_at IS NULL
   AND state = 'pending'
   AND expires_at <= clock_timestamp()
 ORDER BY expires_at
 LIMIT %(limit)s
