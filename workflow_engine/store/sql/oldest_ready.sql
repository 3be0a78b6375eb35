-- oldest_ready.sql: for how long the step that is due for longest has been so; nothing if none is. Index: steps_ready_idx.
SELECT extract(epoch FROM clock_timestamp() - min(ready_at))::float8 AS seconds
  FROM steps
 WHERE ready_at <= clock_timestamp()
