-- find_runs_by_keys.sql: the runs that idempotency keys belong to. Index: runs_idempotency_key.
SELECT runs.id::text AS run_id, runs.input_digest, wanted.number
  FROM unnest(%(numbers)s::integer[], %(plan_ids)s::bigint[], %(keys)s::text[]) AS wanted (number, plan_id, key)
  JOIN plans ON plans.id = wanted.plan_id
  JOIN runs ON runs.namespace = plans.namespace AND runs.workflow = plans.workflow
           AND runs.idempotency_key = wanted.key
