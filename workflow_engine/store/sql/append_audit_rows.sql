-- append_audit_rows.sql: add rows to the audit log, and move its head, which the transaction has locked, to the last.
WITH added AS (
    INSERT INTO audit_log (
        number, event_id, event, namespace, run_id, workflow, step, attempt, actor, correlation_id, occurred_at,
        recorded_at, data, previous_hash, hash
    )
    SELECT number, event_id, event, namespace, run_id, workflow, step, attempt, actor, correlation_id, occurred_at,
           %(recorded_at)s::timestamptz, data, previous_hash, hash
      FROM unnest(%(numbers)s::bigint[], %(event_ids)s::uuid[], %(events)s::text[], %(namespaces)s::text[],
                  %(run_ids)s::uuid[], %(workflows)s::text[], %(steps)s::text[], %(attempts)s::integer[],
                  %(actors)s::text[], %(correlation_ids)s::text[], %(occurred_at)s::timestamptz[], %(data)s::jsonb[],
                  %(previous_hashes)s::bytea[], %(hashes)s::bytea[])
           AS fact (number, event_id, event, namespace, run_id, workflow, step, attempt, actor, correlation_id,
                    occurred_at, data, previous_hash, hash)
)
UPDATE audit_head
   SET number = %(last_number)s, hash = %(last_hash)s
