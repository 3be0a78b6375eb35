-- next_ready_at.sql: how long until the next step is due. Index: steps_ready_idx.
SELECT extract(epoch FROM min(ready_at) - clock_timestamp())::float AS seconds
  FROM steps
 WHERE ready_at IS NOT NULL
