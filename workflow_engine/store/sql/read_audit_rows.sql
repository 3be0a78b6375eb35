-- read_audit_rows.sql: the audit log after a number, in its order. Index: audit_log_pkey.
-- The data as text: numbers are to be told apart that are one and the same as a float.
SELECT number, event_id, event, namespace, run_id, workflow, step, attempt, actor, correlation_id, occurred_at,
       recorded_at, data::text AS data, previous_hash, hash
  FROM audit_log
 WHERE number > %(after)s
 ORDER BY number
