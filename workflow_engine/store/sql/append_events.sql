-- append_events.sql: add facts about one or several runs to the event log, in the order given.
INSERT INTO events (run_id, namespace, correlation_id, name, step, attempt, data)
SELECT runs.id, runs.namespace, runs.correlation_id, fact.name, fact.step, fact.attempt, fact.data
  FROM unnest(%(run_ids)s::uuid[], %(names)s::text[], %(steps)s::text[], %(attempts)s::integer[], %(data)s::jsonb[])
       WITH ORDINALITY AS fact (run_id, name, step, attempt, data, number)
  JOIN runs ON runs.id = fact.run_id
 ORDER BY fact.number
