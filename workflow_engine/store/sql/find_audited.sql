-- find_audited.sql: which of these events the audit log has. Index: audit_log_event_key, in the months of the events.
SELECT audit_log.event_id::text AS event_id
  FROM unnest(%(event_ids)s::uuid[], %(occurred_at)s::timestamptz[]) AS wanted (event_id, occurred_at)
  JOIN audit_log ON audit_log.event_id = wanted.event_id AND audit_log.occurred_at = wanted.occurred_at
