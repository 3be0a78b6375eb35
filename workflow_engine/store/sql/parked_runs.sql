-- parked_runs.sql: the runs of which a subscriber has parked events, and in how many seconds the first of each is due.
-- Index: deliveries_parked_idx.
SELECT run_id::text AS run_id,
       count(*) AS parked,
       coalesce(
           extract(epoch FROM CASE WHEN run_id IS NULL THEN min(due_at)
                                   ELSE (array_agg(due_at ORDER BY position))[1] END - clock_timestamp()),
           0)::float8 AS due_in
  FROM deliveries
 WHERE subscriber = %(subscriber)s
   AND state = 'parked'
 GROUP BY run_id
