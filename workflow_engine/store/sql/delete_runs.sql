-- delete_runs.sql: forget runs that have ended, with their steps and timers; what has a foreign key to them, dead letters
-- and signals, goes by itself, and triggers take their labels. The caller holds them.
WITH gone AS (
    DELETE FROM runs
     WHERE id = ANY(%(run_ids)s::uuid[])
       AND state = ANY(%(final)s::text[])
 RETURNING id
), without_steps AS (
    DELETE FROM steps USING gone WHERE steps.run_id = gone.id
), without_timers AS (
    DELETE FROM timers USING gone WHERE timers.run_id = gone.id
)
SELECT count(*) AS number FROM gone
