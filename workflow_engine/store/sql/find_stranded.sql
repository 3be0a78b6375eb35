-- find_stranded.sql: steps handed to the broker long ago that no worker has claimed. Their message may be gone; the
-- caller asks the broker. Index: runs_unfinished_idx, then steps_pkey.
SELECT steps.run_id::text AS run_id, steps.position, steps.attempt, runs.plan_id,
       plan_steps.name, plan_steps.queue, coalesce(runs.priority, plan_steps.priority) AS priority,
       runs.traceparent
  FROM runs
  JOIN steps ON steps.run_id = runs.id AND steps.state = 'dispatched'
  JOIN plan_steps ON plan_steps.plan_id = runs.plan_id AND plan_steps.position = steps.position
 WHERE runs.finished_at IS NULL
   AND steps.dispatched_at < clock_timestamp() - %(age)s::interval
 ORDER BY steps.dispatched_at
 LIMIT %(limit)s
