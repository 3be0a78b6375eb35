-- resume_steps.sql: those of these attempts that are suspended run again, with all that whoever ends them must know of
-- their claim. The caller ends them in this transaction. Index: steps_pkey.
WITH held AS (
    SELECT steps.run_id, steps.position, steps.attempt
      FROM unnest(%(run_ids)s::uuid[], %(positions)s::integer[], %(attempts)s::integer[])
           AS given (run_id, position, attempt)
      JOIN steps
        ON steps.run_id = given.run_id
       AND steps.position = given.position
       AND steps.attempt = given.attempt
       AND steps.state = 'suspended'
     ORDER BY steps.run_id, steps.position   -- one order for everybody: no deadlock
       FOR UPDATE OF steps
), resumed AS (
    UPDATE steps
       SET state = 'running'
      FROM held
     WHERE steps.run_id = held.run_id
       AND steps.position = held.position
       AND steps.attempt = held.attempt
       AND steps.state = 'suspended'
 RETURNING steps.run_id, steps.position, steps.attempt, steps.dispatched_at, steps.started_at, steps.forgiven
)
SELECT resumed.run_id::text AS run_id, resumed.position, resumed.attempt, resumed.dispatched_at, resumed.started_at,
       resumed.forgiven, runs.plan_id, runs.correlation_id, runs.priority AS run_priority, runs.traceparent,
       runs.created_at AS run_submitted_at, runs.started_at AS run_started_at, runs.retried_at AS run_retried_at,
       false AS run_begun
  FROM resumed
  JOIN runs ON runs.id = resumed.run_id
 ORDER BY runs.id, resumed.position
