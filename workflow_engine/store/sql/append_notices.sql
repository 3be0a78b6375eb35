-- append_notices.sql: add facts that are not about a run to the event log, in the order given.
INSERT INTO events (namespace, name, data)
SELECT %(namespace)s, fact.name, fact.data
  FROM unnest(%(names)s::text[], %(data)s::jsonb[]) WITH ORDINALITY AS fact (name, data, number)
 ORDER BY fact.number
RETURNING id, run_id, namespace, correlation_id, traceparent, name, version, step, attempt, cause, occurred_at, data,
          NULL AS workflow, NULL AS workflow_version
