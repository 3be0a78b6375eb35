-- run_overviews.sql: of several runs their submitters' traces; of some of them also their steps by state and what befell them.
-- Index: runs_pkey, steps_pkey, events_run_idx.
SELECT runs.id::text AS run_id,
       runs.traceparent,
       steps.by_state,
       told.notes
  FROM runs
  LEFT JOIN LATERAL (
       SELECT json_object_agg(state, json_build_object('count', number, 'names', names)) AS by_state
         FROM (SELECT steps.state,
                      count(*) AS number,
                      (array_agg(plan_steps.name ORDER BY steps.position))[1:%(names)s] AS names
                 FROM steps
                 JOIN plan_steps ON plan_steps.plan_id = runs.plan_id AND plan_steps.position = steps.position
                WHERE steps.run_id = runs.id
                GROUP BY steps.state) AS states
       ) AS steps ON runs.id = ANY(%(whole)s::uuid[])
  LEFT JOIN LATERAL (
       SELECT json_agg(json_build_object('name', name, 'step', step, 'at', occurred_at, 'data', data) ORDER BY id) AS notes
         FROM (SELECT events.id, events.name, events.step, events.occurred_at, events.data
                 FROM events
                WHERE events.run_id = runs.id
                  AND events.name = ANY(%(notable)s)
                ORDER BY events.id
                LIMIT %(notes)s) AS noted
       ) AS told ON runs.id = ANY(%(whole)s::uuid[])
 WHERE runs.id = ANY(%(run_ids)s::uuid[])
