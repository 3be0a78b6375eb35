-- register_plan.sql: store a plan and its steps, unless its version is known already.
WITH registered AS (
    INSERT INTO plans (namespace, workflow, version, digest, definition, stale_after)
    VALUES (%(namespace)s, %(workflow)s, %(version)s, %(digest)s, %(definition)s::jsonb, %(stale_after)s)
        ON CONFLICT (namespace, workflow, version) DO NOTHING
 RETURNING id
), stored AS (
    INSERT INTO plan_steps (plan_id, position, name, parents, queue, priority)
    SELECT registered.id, step.position, step.name, step.parents, step.queue, step.priority
      FROM registered
     CROSS JOIN unnest(%(positions)s::integer[], %(names)s::text[], %(parents)s::integer[], %(queues)s::text[],
                       %(priorities)s::smallint[]) AS step (position, name, parents, queue, priority)
)
SELECT id FROM registered
