-- find_lost.sql: attempts held by a worker whose heartbeat has stopped. Index: runs_unfinished_idx, then steps_pkey.
SELECT steps.run_id::text AS run_id, steps.position, steps.attempt, runs.plan_id
  FROM runs
  JOIN steps ON steps.run_id = runs.id AND steps.state = 'running'
 WHERE runs.finished_at IS NULL
   AND NOT EXISTS (
       SELECT FROM workers
        WHERE workers.id = steps.worker_id
          AND workers.heartbeat_at > clock_timestamp() - %(lease)s::interval)
 ORDER BY steps.started_at
 LIMIT %(limit)s
