-- count_workers.sql: the workers that were heard of within the lease, and the time, by the clock that stamps events.
SELECT count(*) FILTER (WHERE heartbeat_at > clock_timestamp() - %(lease)s::interval) AS alive, clock_timestamp() AS now
  FROM workers
