-- get_plan.sql: a plan by its id.
SELECT id, namespace, workflow, version, digest, definition
  FROM plans
 WHERE id = %(plan_id)s
