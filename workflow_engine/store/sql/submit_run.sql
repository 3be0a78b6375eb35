-- submit_run.sql: store a run and its steps in one statement, whatever the size of the plan.
-- No row comes back where the idempotency key is taken: the run that has it was first.
-- Its event has a place in the log `at_once`, or `deferred`: only at the commit of whoever's transaction this is.
WITH accepted AS (
    INSERT INTO runs (
        id, plan_id, namespace, workflow, version, state, input, input_digest, idempotency_key, correlation_id,
        priority, title, description, tags, metadata, agent, initiator, traceparent, sinks_left, scheduled_at, due_at,
        remind_before, timeout, expires_at, schedule_id
    )
    SELECT %(run_id)s, plans.id, plans.namespace, plans.workflow, plans.version, 'pending', %(input)s::json,
           %(input_digest)s, %(idempotency_key)s, %(correlation_id)s, %(priority)s, %(title)s, %(description)s,
           %(tags)s::text[], %(metadata)s::jsonb, %(agent)s, %(initiator)s, %(traceparent)s, %(sinks)s, %(scheduled_at)s,
           %(due_at)s, %(remind_before)s::double precision[], %(timeout)s::double precision, %(expires_at)s,
           %(schedule_id)s::bigint
      FROM plans
     WHERE plans.id = %(plan_id)s
        ON CONFLICT (namespace, workflow, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
 RETURNING id, plan_id, namespace, correlation_id, traceparent, created_at
), stored AS (
    INSERT INTO steps (run_id, position, state, attempt, missing, dispatched_at, ready_at)
    SELECT accepted.id,
           plan_steps.position,
           CASE WHEN plan_steps.parents > 0 THEN 'waiting' WHEN %(dispatch)s THEN 'dispatched' ELSE 'ready' END,
           CASE WHEN plan_steps.parents = 0 AND %(dispatch)s THEN 1 ELSE 0 END,
           plan_steps.parents,
           CASE WHEN plan_steps.parents = 0 AND %(dispatch)s THEN accepted.created_at END,
           CASE WHEN plan_steps.parents = 0 AND NOT %(dispatch)s
                THEN coalesce(%(scheduled_at)s, accepted.created_at) END
      FROM accepted
      JOIN plan_steps ON plan_steps.plan_id = %(plan_id)s
)
-- [at_once
, published AS (
    INSERT INTO events (
        run_id, plan_id, namespace, correlation_id, traceparent, occurred_at, name, step, attempt, cause, data
    )
    SELECT accepted.id, accepted.plan_id, accepted.namespace, accepted.correlation_id, accepted.traceparent,
           accepted.created_at, fact.name, fact.step, fact.attempt, fact.cause, fact.data
      FROM accepted
     CROSS JOIN (
           SELECT 'run.submitted' AS name, NULL AS step, NULL::integer AS attempt, NULL AS cause,
                  %(submitted)s::jsonb AS data
            UNION ALL
           SELECT 'step.dispatched', root.name, 1, 'run.submitted', root.data
             FROM unnest(%(root_names)s::text[], %(root_data)s::jsonb[]) AS root (name, data)
            WHERE %(dispatch)s
          ) AS fact
)
-- at_once]
-- [deferred
, deferred AS (
    INSERT INTO deferred_events (run_id, plan_id, namespace, correlation_id, traceparent, name, occurred_at, data)
    SELECT accepted.id, accepted.plan_id, accepted.namespace, accepted.correlation_id, accepted.traceparent,
           'run.submitted', accepted.created_at, %(submitted)s::jsonb
      FROM accepted
)
-- deferred]
SELECT id::text AS run_id, created_at FROM accepted
