-- explain_timers.sql: of each run the next timers. Index: timers_run_idx.
SELECT timers.run_id::text AS run_id, timers.kind, timers.due_at, timers.position
  FROM unnest(%(run_ids)s::uuid[]) AS asked (run_id)
 CROSS JOIN LATERAL (
       SELECT * FROM timers WHERE timers.run_id = asked.run_id ORDER BY timers.due_at LIMIT %(limit)s
       ) AS timers
 ORDER BY timers.run_id, timers.due_at
