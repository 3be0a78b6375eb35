-- forget_silent.sql: remove workers that died long ago; until then people see what is missing.
DELETE FROM workers
 WHERE greatest(heartbeat_at, pg_postmaster_start_time()) < clock_timestamp() - %(age)s::interval
