-- claim_step.sql: give a dispatched attempt to a worker, with all that its handler needs.
-- No row comes back unless exactly this attempt was waiting to be claimed.
-- A root may begin its run, another step has parents: each is claimed with the parts it needs (`-- [part` to `-- part]`).
-- A claim lost in a crash of the database only means that the step is claimed again, so it does not wait for the disk.
WITH claimed AS (
    UPDATE steps
       SET state = 'running', worker_id = %(worker_id)s, started_at = clock_timestamp()
     WHERE run_id = %(run_id)s
       AND position = %(position)s
       AND attempt = %(attempt)s
       AND state = 'dispatched'
 RETURNING run_id, dispatched_at, started_at, forgiven
)
-- [root
, begun AS (
    UPDATE runs
       SET state = 'running', started_at = claimed.started_at
      FROM claimed
     WHERE runs.id = %(run_id)s
       AND runs.state = 'pending'
 RETURNING runs.id
)
-- root]
, published AS (
    INSERT INTO events (
        run_id, plan_id, namespace, correlation_id, traceparent, occurred_at, name, step, attempt, cause, data
    )
    SELECT runs.id, runs.plan_id, runs.namespace, runs.correlation_id, runs.traceparent, claimed.started_at,
           fact.name, fact.step, fact.attempt, fact.cause, fact.data
      FROM claimed
      JOIN runs ON runs.id = %(run_id)s
     CROSS JOIN LATERAL (
-- [root
           SELECT 'run.started' AS name, NULL AS step, NULL::integer AS attempt, %(cause)s AS cause,
                  %(run_started)s::jsonb AS data
             FROM begun
            UNION ALL
-- root]
           SELECT 'step.started' AS name, %(step)s::text AS step, %(attempt)s::integer AS attempt, NULL AS cause,
                  %(step_started)s::jsonb AS data
          ) AS fact
)
SELECT coalesce(runs.input, 'null')::text AS input,
       runs.correlation_id,
       runs.priority AS run_priority,
       runs.traceparent,
       runs.created_at AS run_submitted_at,
       coalesce(runs.started_at, claimed.started_at) AS run_started_at,
       runs.retried_at AS run_retried_at,
-- [root
       EXISTS(SELECT FROM begun) AS run_begun,
-- root]
       claimed.dispatched_at,
       claimed.started_at,
       claimed.forgiven,
-- [parents
       (SELECT json_object_agg(parent.position, parent.result)
          FROM steps AS parent
         WHERE parent.run_id = %(run_id)s
           AND parent.position = ANY(%(parents)s::integer[])) AS results,
-- parents]
       set_config('synchronous_commit', 'off', true)
  FROM claimed
  JOIN runs ON runs.id = %(run_id)s
