-- append_events.sql: add facts about one or several runs to the event log, in the order given.
INSERT INTO events (
    run_id, plan_id, namespace, correlation_id, traceparent, occurred_at, name, version, step, attempt, cause, data
)
SELECT runs.id, runs.plan_id, runs.namespace, runs.correlation_id, runs.traceparent,
       coalesce(%(occurred_at)s, (SELECT clock_timestamp())), fact.name, fact.version, fact.step, fact.attempt,
       fact.cause, fact.data
  FROM unnest(%(run_ids)s::uuid[], %(names)s::text[], %(versions)s::smallint[], %(steps)s::text[],
              %(attempts)s::integer[], %(causes)s::text[], %(data)s::jsonb[])
       WITH ORDINALITY AS fact (run_id, name, version, step, attempt, cause, data, number)
  JOIN runs ON runs.id = fact.run_id
 ORDER BY fact.number
RETURNING id, run_id, namespace, correlation_id, traceparent, name, version, step, attempt, cause, occurred_at, data,
          (SELECT plans.workflow FROM plans WHERE plans.id = events.plan_id) AS workflow,
          (SELECT plans.version FROM plans WHERE plans.id = events.plan_id) AS workflow_version
