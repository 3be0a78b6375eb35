-- rerun_run.sql: store a run like an earlier one, with the results of steps that need not run again.
-- `missing` says for how many parents each step waits; -1: it has the result it had. No row comes back where the
-- idempotency key is taken. Moments of the earlier run are over, and not taken along.
WITH accepted AS (
    INSERT INTO runs (
        id, plan_id, namespace, workflow, version, state, input, input_digest, idempotency_key, correlation_id,
        priority, title, description, tags, metadata, agent, initiator, traceparent, sinks_left, timeout, rerun_of
    )
    SELECT %(run_id)s, plan_id, namespace, workflow, version, 'pending', input, %(input_digest)s, %(idempotency_key)s,
           correlation_id, priority, title, description, tags, metadata, agent, %(initiator)s, traceparent, %(sinks)s,
           timeout, id
      FROM runs
     WHERE id = %(of)s
        ON CONFLICT (namespace, workflow, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
 RETURNING id, created_at
), stored AS (
    INSERT INTO steps (run_id, position, state, missing, ready_at, finished_at, result)
    SELECT accepted.id,
           given.position,
           CASE WHEN given.missing < 0 THEN 'succeeded' WHEN given.missing = 0 THEN 'ready' ELSE 'waiting' END,
           greatest(given.missing, 0),
           CASE WHEN given.missing = 0 THEN accepted.created_at END,
           CASE WHEN given.missing < 0 THEN accepted.created_at END,
           CASE WHEN given.missing < 0 THEN earlier.result END
      FROM accepted
     CROSS JOIN unnest(%(positions)s::integer[], %(missing)s::integer[]) AS given (position, missing)
      LEFT JOIN steps AS earlier ON earlier.run_id = %(of)s AND earlier.position = given.position
)
SELECT id::text AS run_id FROM accepted
