-- dispatch_ready.sql: take steps whose time has come, most urgent first; what another coordinator is taking is skipped.
-- Waiting makes urgent: a rank for each `aging` seconds, up to the highest, so that nothing is overtaken for ever.
-- Relaxed, its commit does not wait for the disk: what a crash forgets is ready again, and its message claims nothing.
WITH due AS (
    SELECT steps.run_id, steps.position, steps.ready_at, runs.plan_id, runs.traceparent, plan_steps.name, plan_steps.queue,
           CASE WHEN %(aging)s > 0
                THEN least(
                         greatest(%(highest)s, coalesce(runs.priority, plan_steps.priority)),
                         coalesce(runs.priority, plan_steps.priority)
                         + floor(extract(epoch FROM clock_timestamp() - steps.ready_at) / %(aging)s)::integer)
                ELSE coalesce(runs.priority, plan_steps.priority) END AS priority
      FROM steps
      JOIN runs ON runs.id = steps.run_id AND runs.state IN ('pending', 'running')
      JOIN plan_steps ON plan_steps.plan_id = runs.plan_id AND plan_steps.position = steps.position
     WHERE steps.ready_at <= clock_timestamp()
       AND steps.state IN ('ready', 'retrying')
       AND steps.settle >= 0                -- below 0: its run was paused, perhaps since this statement began
       AND (%(run_ids)s::uuid[] IS NULL OR steps.run_id = ANY(%(run_ids)s::uuid[]))
     ORDER BY priority DESC, steps.ready_at
     LIMIT %(limit)s
       FOR UPDATE OF steps SKIP LOCKED
)
UPDATE steps
   SET state = 'dispatched', attempt = steps.attempt + 1, ready_at = NULL, dispatched_at = clock_timestamp(), resends = 0
  FROM due
 WHERE steps.run_id = due.run_id
   AND steps.position = due.position
   AND steps.state IN ('ready', 'retrying')
RETURNING steps.run_id::text AS run_id, steps.position, steps.attempt, due.plan_id, due.name, due.queue, due.priority,
          due.traceparent, due.ready_at AS due_at,
          extract(epoch FROM clock_timestamp() - due.ready_at)::float8 AS waited,
          CASE WHEN %(relaxed)s THEN set_config('synchronous_commit', 'off', true) END AS commits
