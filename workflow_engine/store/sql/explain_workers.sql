-- explain_workers.sql: what the workers serve, and when each was last heard of; also of those that died within the last day.
SELECT id::text AS id, name, queues, concurrency, greatest(heartbeat_at, pg_postmaster_start_time()) AS heard_at
  FROM workers
