-- youngest_ready.sql: in how many seconds the oldest of the steps that are ready, but not yet for ``age``, will have been.
SELECT extract(epoch FROM min(ready_at) + %(age)s::interval - clock_timestamp())::float8 AS seconds
  FROM ready_steps
 WHERE ready_at > clock_timestamp() - %(age)s::interval
