-- find_repair.sql: children of a finished attempt that were set free but that no worker has claimed.
-- Asked when a message comes again: the first time its worker may have died between commit and publish.
SELECT child.run_id::text AS run_id, child.position, child.attempt, runs.plan_id,
       plan_steps.name, plan_steps.queue, coalesce(runs.priority, plan_steps.priority) AS priority,
       runs.traceparent
  FROM steps AS parent
  JOIN steps AS child ON child.run_id = parent.run_id AND child.position = ANY(%(children)s::integer[])
  JOIN runs ON runs.id = parent.run_id
  JOIN plan_steps ON plan_steps.plan_id = runs.plan_id AND plan_steps.position = child.position
 WHERE parent.run_id = %(run_id)s
   AND parent.position = %(position)s
   AND parent.attempt = %(attempt)s
   AND parent.state = 'succeeded'
   AND child.state = 'dispatched'
 ORDER BY child.position
