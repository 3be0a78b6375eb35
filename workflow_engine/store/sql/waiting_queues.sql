-- waiting_queues.sql: the queues with steps that no worker has claimed; whether any was sent so long ago that its message
-- may be gone, and how soon the next one will have been. Each message sent again doubles the time that the next one has.
-- Index: runs_unfinished_idx, then steps_pkey.
WITH moment AS MATERIALIZED (
    SELECT clock_timestamp() AS now
), waiting AS (
    SELECT plan_steps.queue,
           steps.dispatched_at + %(age)s::interval * power(2, least(steps.resends, %(doublings)s)) AS doubtful_at
      FROM runs
      JOIN steps ON steps.run_id = runs.id AND steps.state = 'dispatched'
      JOIN plan_steps ON plan_steps.plan_id = runs.plan_id AND plan_steps.position = steps.position
     WHERE runs.finished_at IS NULL
)
SELECT queue,
       coalesce(bool_or(doubtful_at <= now), false) AS is_doubtful,
       extract(epoch FROM min(doubtful_at) FILTER (WHERE doubtful_at > now) - min(now))::float AS seconds
  FROM waiting, moment
 GROUP BY queue
