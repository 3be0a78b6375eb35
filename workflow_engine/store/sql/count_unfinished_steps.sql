-- count_unfinished_steps.sql: steps of the oldest unfinished runs by state, and those a queue holds by queue. The limit
-- is of the rows read, finished ones too, so that counting has an end. Index: runs_unfinished_idx, then steps_pkey.
WITH seen AS MATERIALIZED (
    SELECT unfinished.plan_id, steps.position, steps.state
      FROM (SELECT id, plan_id FROM runs WHERE finished_at IS NULL ORDER BY created_at LIMIT %(limit)s) AS unfinished
      JOIN steps ON steps.run_id = unfinished.id
     LIMIT %(limit)s
), counted AS (
    SELECT plan_id, position, state, count(*) AS number FROM seen GROUP BY plan_id, position, state
)
SELECT counted.state, plan_steps.queue, sum(counted.number)::bigint AS number
  FROM counted
  LEFT JOIN plan_steps ON counted.state = 'dispatched'
                      AND plan_steps.plan_id = counted.plan_id
                      AND plan_steps.position = counted.position
 GROUP BY counted.state, plan_steps.queue
