-- find_due_runs.sql: of runs and seconds before they are due (0: then), those where that moment has come.
-- No row is held: whoever ends such a run need not wait for whoever tells that it is due. Index: runs_pkey.
SELECT runs.id::text AS run_id, runs.plan_id, runs.due_at, moment.before
  FROM unnest(%(run_ids)s::uuid[], %(befores)s::double precision[]) WITH ORDINALITY AS moment (run_id, before, number)
  JOIN runs ON runs.id = moment.run_id
   AND runs.state IN ('pending', 'running', 'paused')
   AND runs.due_at - make_interval(secs => moment.before) <= clock_timestamp()
   AND (moment.before = 0 OR moment.before = ANY(runs.remind_before))
 ORDER BY moment.number
