-- page_workers.sql: the workers, also those that died lately, by name, each with the number of steps it holds.
-- Index: runs_unfinished_idx, then steps_pkey.
SELECT workers.id::text AS id, workers.name, workers.pid, workers.queues, workers.pool, workers.concurrency,
       workers.started_at, workers.heartbeat_at, workers.release, workers.workflows, workers.clock_ahead,
       extract(epoch FROM clock_timestamp() - workers.heartbeat_at)::float AS silent_seconds,
       coalesce(held.steps, 0) AS steps_held
  FROM workers
  LEFT JOIN (
       SELECT steps.worker_id, count(*) AS steps
         FROM runs
         JOIN steps ON steps.run_id = runs.id AND steps.state = 'running'
        WHERE runs.finished_at IS NULL
        GROUP BY steps.worker_id
       ) AS held ON held.worker_id = workers.id
 ORDER BY workers.name, workers.started_at
