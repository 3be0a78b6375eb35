-- explain_steps.sql: of each run the first steps, in topological order, that are in one of some states; who holds them, and
-- whether they wait for a person. Index: steps_pkey, step_dead_letters_pkey.
SELECT steps.run_id::text AS run_id, steps.position, steps.state, steps.attempt, steps.forgiven, steps.resends,
       steps.ready_at, steps.dispatched_at, steps.started_at, steps.finished_at,
       steps.error ->> 'error_class' AS error_class, left(steps.error ->> 'message', 500) AS error_message,
       workers.name AS worker,
       greatest(workers.heartbeat_at, pg_postmaster_start_time()) AS worker_heard_at,  -- it hears nobody while it is down
       letters.run_id IS NOT NULL AS is_dead_letter
  FROM unnest(%(run_ids)s::uuid[]) AS asked (run_id)
 CROSS JOIN LATERAL (
       SELECT *
         FROM steps
        WHERE steps.run_id = asked.run_id
          AND steps.state = ANY(%(states)s::text[])
        ORDER BY steps.position
        LIMIT %(limit)s
       ) AS steps
  LEFT JOIN workers ON workers.id = steps.worker_id AND steps.state = 'running'
  LEFT JOIN step_dead_letters AS letters
    ON letters.run_id = steps.run_id AND letters.position = steps.position AND letters.attempt = steps.attempt
   AND letters.state = 'dead' AND steps.state = 'failed'
 ORDER BY steps.run_id, steps.position
