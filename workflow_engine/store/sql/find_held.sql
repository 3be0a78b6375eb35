-- find_held.sql: attempts a worker holds, claimed at least `age` ago. Index: runs_unfinished_idx, then steps_pkey.
SELECT steps.run_id::text AS run_id, steps.position, steps.attempt, runs.plan_id, plan_steps.name
  FROM runs
  JOIN steps ON steps.run_id = runs.id AND steps.state = 'running' AND steps.worker_id = %(worker_id)s
  JOIN plan_steps ON plan_steps.plan_id = runs.plan_id AND plan_steps.position = steps.position
 WHERE runs.finished_at IS NULL
   AND steps.started_at < clock_timestamp() - %(age)s::interval
