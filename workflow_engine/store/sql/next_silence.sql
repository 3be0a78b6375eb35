-- next_silence.sql: how long until the lease of a worker that is alive now would end, if it were not heard of again.
-- While PostgreSQL itself was down, no worker could be heard.
SELECT min(extract(epoch FROM greatest(heartbeat_at, pg_postmaster_start_time()) + %(lease)s::interval
                              - clock_timestamp()))::float AS seconds
  FROM workers
 WHERE greatest(heartbeat_at, pg_postmaster_start_time()) > clock_timestamp() - %(lease)s::interval
