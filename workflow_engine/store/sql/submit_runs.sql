-- submit_runs.sql: store many runs and their steps in one statement, as submit_run.sql stores one. What is given may be of
-- several plans. No row comes back for a run whose idempotency key is taken: the run that has it was first.
WITH given AS MATERIALIZED (
    SELECT each.*, plans.namespace, plans.workflow, plans.version
      FROM json_to_recordset(%(runs)s::json) AS each (
               number integer, run_id uuid, plan_id bigint, input json, input_digest text, idempotency_key text,
               correlation_id text, priority smallint, title text, description text, tags text[], metadata jsonb,
               agent text, initiator text, traceparent text, sinks integer, scheduled_at timestamptz, due_at timestamptz,
               remind_before double precision[], timeout double precision, expires_at timestamptz, schedule_id bigint,
               dispatch boolean, submitted jsonb)
      JOIN plans ON plans.id = each.plan_id
), accepted AS (
    INSERT INTO runs (
        id, plan_id, namespace, workflow, version, state, input, input_digest, idempotency_key, correlation_id,
        priority, title, description, tags, metadata, agent, initiator, traceparent, sinks_left, scheduled_at, due_at,
        remind_before, timeout, expires_at, schedule_id
    )
    SELECT run_id, plan_id, namespace, workflow, version, 'pending', input, input_digest, idempotency_key,
           correlation_id, priority, title, description, coalesce(tags, '{}'), coalesce(metadata, '{}'), agent,
           initiator, traceparent, sinks, scheduled_at, due_at, remind_before, timeout, expires_at, schedule_id
      FROM given
     ORDER BY idempotency_key, number     -- two batches with the same keys wait for each other in one order
        ON CONFLICT (namespace, workflow, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
 RETURNING id, plan_id, namespace, correlation_id, traceparent, created_at
), stored AS (
    INSERT INTO steps (run_id, position, state, attempt, missing, dispatched_at, ready_at)
    SELECT accepted.id,
           plan_steps.position,
           CASE WHEN plan_steps.parents > 0 THEN 'waiting' WHEN given.dispatch THEN 'dispatched' ELSE 'ready' END,
           CASE WHEN plan_steps.parents = 0 AND given.dispatch THEN 1 ELSE 0 END,
           plan_steps.parents,
           CASE WHEN plan_steps.parents = 0 AND given.dispatch THEN accepted.created_at END,
           CASE WHEN plan_steps.parents = 0 AND NOT given.dispatch
                THEN coalesce(given.scheduled_at, accepted.created_at) END
      FROM accepted
      JOIN given ON given.run_id = accepted.id
      JOIN plan_steps ON plan_steps.plan_id = accepted.plan_id
), published AS (
    INSERT INTO events (
        run_id, plan_id, namespace, correlation_id, traceparent, occurred_at, name, step, attempt, cause, data
    )
    SELECT accepted.id, accepted.plan_id, accepted.namespace, accepted.correlation_id, accepted.traceparent,
           accepted.created_at, fact.name, fact.step, fact.attempt, fact.cause, fact.data
      FROM accepted
      JOIN given ON given.run_id = accepted.id
     CROSS JOIN LATERAL (
           SELECT 'run.submitted' AS name, NULL AS step, NULL::integer AS attempt, NULL AS cause,
                  given.submitted AS data
            UNION ALL
           SELECT 'step.dispatched', root.name, 1, 'run.submitted', root.data
             FROM unnest(%(root_plans)s::bigint[], %(root_names)s::text[], %(root_data)s::jsonb[])
                  AS root (plan_id, name, data)
            WHERE given.dispatch AND root.plan_id = accepted.plan_id
          ) AS fact
)
SELECT id::text AS run_id, created_at FROM accepted
