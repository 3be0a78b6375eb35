-- explain_runs.sql: runs as their explanation needs them, with the number of their steps by state, and who leads.
-- Index: runs_pkey, steps_pkey.
SELECT runs.id::text AS run_id, runs.plan_id, runs.namespace, runs.workflow, runs.version, runs.state, runs.error,
       runs.created_at, runs.scheduled_at, runs.due_at, runs.expires_at, runs.started_at, runs.finished_at,
       clock_timestamp() AS at,
       (SELECT json_object_agg(counted.state, counted.number)
          FROM (SELECT steps.state, count(*) AS number FROM steps WHERE steps.run_id = runs.id GROUP BY steps.state)
               AS counted) AS by_state,
       leaders.name AS leader,
       leaders.heartbeat_at AS leader_heard_at
  FROM runs
  LEFT JOIN leaders ON leaders.role = %(role)s
 WHERE runs.id = ANY(%(run_ids)s::uuid[])
