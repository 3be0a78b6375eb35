-- explain_events.sql: of each run the newest events of some names. Index: events_run_idx.
SELECT told.run_id::text AS run_id, told.name, told.step, told.occurred_at, told.data
  FROM unnest(%(run_ids)s::uuid[]) AS asked (run_id)
 CROSS JOIN LATERAL (
       SELECT events.run_id, events.id, events.name, events.step, events.occurred_at, events.data
         FROM events
        WHERE events.run_id = asked.run_id
          AND events.name = ANY(%(names)s::text[])
        ORDER BY events.id DESC
        LIMIT %(limit)s
       ) AS told
 ORDER BY told.run_id, told.id DESC
