-- claim_step.sql: give a dispatched attempt to a worker, with all that its handler needs.
-- No row comes back unless exactly this attempt was waiting to be claimed.
-- A claim lost in a crash of the database only means that the step is claimed again, so it does not wait for the disk.
WITH claimed AS (
    UPDATE steps
       SET state = 'running', worker_id = %(worker_id)s, started_at = clock_timestamp()
     WHERE run_id = %(run_id)s
       AND position = %(position)s
       AND attempt = %(attempt)s
       AND state = 'dispatched'
 RETURNING run_id, started_at
), begun AS (
    UPDATE runs
       SET state = 'running', started_at = claimed.started_at
      FROM claimed
     WHERE %(root)s
       AND runs.id = %(run_id)s
       AND runs.state = 'pending'
 RETURNING runs.id
), published AS (
    INSERT INTO events (run_id, namespace, correlation_id, occurred_at, name, step, attempt, data)
    SELECT runs.id, runs.namespace, runs.correlation_id, claimed.started_at, fact.name, fact.step, fact.attempt, fact.data
      FROM claimed
      JOIN runs ON runs.id = %(run_id)s
     CROSS JOIN LATERAL (
           SELECT 'run.started' AS name, NULL AS step, NULL::integer AS attempt, %(run_started)s::jsonb AS data
             FROM begun
            UNION ALL
           SELECT 'step.started', %(step)s::text, %(attempt)s::integer, %(step_started)s::jsonb
          ) AS fact
)
SELECT runs.input,
       runs.correlation_id,
       runs.priority AS run_priority,
       (SELECT json_object_agg(parent.position, parent.result)
          FROM steps AS parent
         WHERE parent.run_id = %(run_id)s
           AND parent.position = ANY(%(parents)s::integer[])) AS results,
       set_config('synchronous_commit', 'off', true)
  FROM claimed
  JOIN runs ON runs.id = %(run_id)s
