-- rescue_steps.sql: take attempts back from workers that fell silent; the steps are ready again, all in one statement.
-- Those that were lost too often, or whose run is ending, are only named (times NULL): what becomes of them takes more.
-- While PostgreSQL itself was down, no worker could be heard. Index: runs_unfinished_idx, then steps_pkey.
WITH lost AS (
    SELECT steps.run_id, steps.position, steps.attempt, runs.plan_id
      FROM runs
      JOIN steps ON steps.run_id = runs.id AND steps.state = 'running'
     WHERE runs.finished_at IS NULL
       AND NOT EXISTS (
           SELECT FROM workers
            WHERE workers.id = steps.worker_id
              AND greatest(workers.heartbeat_at, pg_postmaster_start_time())
                  > clock_timestamp() - %(lease)s::interval)
     ORDER BY steps.run_id, steps.position   -- one order for everybody: no deadlock
     LIMIT %(limit)s
       FOR UPDATE OF steps
), moved AS (
    UPDATE steps
       SET state = 'ready', ready_at = clock_timestamp(), losses = losses + 1, error = %(error)s::jsonb
      FROM lost
     WHERE steps.run_id = lost.run_id
       AND steps.position = lost.position
       AND steps.attempt = lost.attempt
       AND steps.state = 'running'
       AND steps.losses < %(loss_limit)s
       AND steps.settle < 2                  -- 2: the run is ending; nothing of it starts again
 RETURNING steps.run_id, steps.position, steps.dispatched_at, steps.started_at
)
SELECT lost.run_id::text AS run_id, lost.position, lost.attempt, lost.plan_id, moved.dispatched_at, moved.started_at
  FROM lost
  LEFT JOIN moved ON moved.run_id = lost.run_id AND moved.position = lost.position
