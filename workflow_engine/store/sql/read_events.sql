-- read_events.sql: committed events after a position of the log. Index: events_pkey of each partition.
SELECT page.*, plans.workflow, plans.version AS workflow_version
  FROM (SELECT *
          FROM events
         WHERE events.id > %(after)s
         ORDER BY events.id
         LIMIT %(limit)s
       ) AS page
  LEFT JOIN plans ON plans.id = page.plan_id
 ORDER BY page.id
