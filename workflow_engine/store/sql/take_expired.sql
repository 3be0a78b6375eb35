-- take_expired.sql: of these runs, those that have not started and whose time is over.
SELECT id::text AS run_id
  FROM runs
 WHERE id = ANY(%(run_ids)s::uuid[])
   AND (state = 'pending' OR (state = 'paused' AND started_at IS NULL))
   AND expires_at <= clock_timestamp()
 ORDER BY expires_at
