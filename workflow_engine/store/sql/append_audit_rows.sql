-- append_audit_rows.sql: add rows to the audit log, and move its head, which the transaction has locked, to the last.
-- They come as one JSON document: fourteen arrays cost the sender ten times as much.
WITH added AS (
    INSERT INTO audit_log (
        number, event_id, event, namespace, run_id, workflow, step, attempt, actor, correlation_id, occurred_at,
        recorded_at, data, previous_hash, hash
    )
    SELECT number, event_id, event, namespace, run_id, workflow, step, attempt, actor, correlation_id, occurred_at,
           recorded_at, data, previous_hash, hash
      FROM json_to_recordset(%(rows)s::json)
           AS fact (number bigint, event_id uuid, event text, namespace text, run_id uuid, workflow text, step text,
                    attempt integer, actor text, correlation_id text, occurred_at timestamptz, recorded_at timestamptz,
                    data jsonb, previous_hash bytea, hash bytea)
)
UPDATE audit_head
   SET number = %(last_number)s, hash = %(last_hash)s
