-- resend_steps.sql: take steps whose message is gone, to send them again: unclaimed for long, and either in a queue that is
-- empty, or overtaken: a step sent to the same queue at the same priority more than `age` later was claimed. A backlog that
-- is merely slow is neither. A step that its worker went on with was in no queue, and of one that was sent again nobody knows
-- which message was claimed: they overtake nobody. What another coordinator is taking is skipped.
-- Index: runs_unfinished_idx, then steps_pkey.
WITH fronts AS (
    SELECT plan_steps.queue, coalesce(runs.priority, plan_steps.priority) AS priority,
           max(steps.dispatched_at) AS claimed
      FROM runs
      JOIN steps ON steps.run_id = runs.id AND steps.started_at IS NOT NULL AND steps.state <> 'dispatched'
                AND NOT steps.kept AND steps.resends = 0
      JOIN plan_steps ON plan_steps.plan_id = runs.plan_id AND plan_steps.position = steps.position
     WHERE runs.finished_at IS NULL
     GROUP BY 1, 2
), stranded AS (
    SELECT steps.run_id, steps.position, runs.plan_id, runs.traceparent, plan_steps.name, plan_steps.queue,
           coalesce(runs.priority, plan_steps.priority) AS priority
      FROM runs
      JOIN steps ON steps.run_id = runs.id AND steps.state = 'dispatched'
      JOIN plan_steps ON plan_steps.plan_id = runs.plan_id AND plan_steps.position = steps.position
      LEFT JOIN fronts
        ON fronts.queue IS NOT DISTINCT FROM plan_steps.queue
       AND fronts.priority = coalesce(runs.priority, plan_steps.priority)
     WHERE runs.finished_at IS NULL
       AND steps.dispatched_at
           <= clock_timestamp() - %(age)s::interval * power(2, least(steps.resends, %(doublings)s))
       AND (coalesce(plan_steps.queue, '') = ANY(%(idle)s)
            OR fronts.claimed > steps.dispatched_at + %(age)s::interval)
     ORDER BY steps.dispatched_at
     LIMIT %(limit)s
       FOR UPDATE OF steps SKIP LOCKED
)
UPDATE steps
   SET dispatched_at = clock_timestamp(), resends = least(steps.resends + 1, 1000)
  FROM stranded
 WHERE steps.run_id = stranded.run_id
   AND steps.position = stranded.position
   AND steps.state = 'dispatched'
RETURNING steps.run_id::text AS run_id, steps.position, steps.attempt, stranded.plan_id, stranded.name, stranded.queue,
          stranded.priority, stranded.traceparent
