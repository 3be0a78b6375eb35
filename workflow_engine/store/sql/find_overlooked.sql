-- find_overlooked.sql: runs whose steps have been ready for longer than a notice takes: nobody was told. And how soon the
-- next of them will have been. Index: steps_ready_idx, by the view.
SELECT run_id::text AS run_id, count(*)::integer AS steps
  FROM (SELECT run_id
          FROM ready_steps
         WHERE ready_at <= clock_timestamp() - %(age)s::interval
         ORDER BY ready_at
         LIMIT %(limit)s) AS overlooked
 GROUP BY run_id
