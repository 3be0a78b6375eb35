-- lock_runs_whole.sql: hold runs with all their steps. Steps are always locked first, the runs last.
WITH held AS (
    SELECT steps.run_id
      FROM steps
     WHERE steps.run_id = ANY(%(run_ids)s::uuid[])
     ORDER BY steps.run_id, steps.position
       FOR UPDATE
)
SELECT runs.id::text AS run_id, runs.state, runs.plan_id
  FROM runs
 WHERE runs.id = ANY(%(run_ids)s::uuid[])
   AND (SELECT count(*) FROM held) >= 0
 ORDER BY runs.id
   FOR UPDATE OF runs
