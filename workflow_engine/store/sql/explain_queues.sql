-- explain_queues.sql: how many steps were sent to a queue before those of a run, and how many each worker runs: counted over
-- so many of the oldest unfinished runs. Index: runs_unfinished_idx, then steps_pkey.
WITH looked AS MATERIALIZED (
    SELECT id, plan_id FROM runs WHERE finished_at IS NULL ORDER BY created_at LIMIT %(limit)s
), busy AS MATERIALIZED (
    SELECT steps.run_id, steps.state, steps.worker_id, steps.dispatched_at, coalesce(plan_steps.queue, '') AS queue
      FROM looked
      JOIN steps ON steps.run_id = looked.id AND steps.state IN ('dispatched', 'running')
      JOIN plan_steps ON plan_steps.plan_id = looked.plan_id AND plan_steps.position = steps.position
)
SELECT asked.run_id::text AS run_id, asked.queue, NULL::text AS worker_id, count(*)::integer AS number,
       (SELECT count(*) FROM looked) < %(limit)s AS is_counted
  FROM unnest(%(run_ids)s::uuid[], %(queues)s::text[], %(moments)s::timestamptz[]) AS asked (run_id, queue, since)
  JOIN busy
    ON busy.state = 'dispatched' AND busy.queue = asked.queue AND busy.run_id <> asked.run_id
   AND busy.dispatched_at < asked.since
 GROUP BY asked.run_id, asked.queue
 UNION ALL
SELECT NULL, NULL, busy.worker_id::text, count(*)::integer, (SELECT count(*) FROM looked) < %(limit)s
  FROM busy
 WHERE busy.state = 'running'
 GROUP BY busy.worker_id
