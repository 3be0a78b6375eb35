-- lock_run.sql: hold a run's row. Steps are always locked first, the run last.
SELECT runs.state, runs.plan_id, runs.error, runs.created_at, runs.started_at, runs.retried_at, runs.priority,
       runs.correlation_id, runs.traceparent
  FROM runs
 WHERE runs.id = %(run_id)s
   FOR UPDATE
