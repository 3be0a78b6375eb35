-- find_timed_out.sql: of these runs, those that have not ended within their timeout. Index: runs_pkey.
SELECT id::text AS run_id, timeout
  FROM runs
 WHERE id = ANY(%(run_ids)s::uuid[])
   AND state IN ('pending', 'running', 'paused')
   AND greatest(created_at, scheduled_at, retried_at) + make_interval(secs => timeout) <= clock_timestamp()
 ORDER BY id
