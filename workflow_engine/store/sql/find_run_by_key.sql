-- find_run_by_key.sql: the run an idempotency key belongs to. Index: runs_idempotency_key.
SELECT id::text AS run_id, input_digest
  FROM runs
 WHERE namespace = %(namespace)s
   AND workflow = %(workflow)s
   AND idempotency_key = %(key)s
