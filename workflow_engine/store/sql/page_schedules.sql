-- page_schedules.sql: the schedules of a namespace by name, after one of them. Index: schedules_name_key.
SELECT id, namespace, name, workflow, version, input, options, cron, rrule, time_zone, starts_at, ends_at, anchor_at,
       catch_up, overlap, paused_at, next_at, last_at, created_at, updated_at
  FROM schedules
 WHERE namespace = %(namespace)s
   AND name > %(after)s
   AND (%(workflow)s::text IS NULL OR workflow = %(workflow)s)
 ORDER BY name
 LIMIT %(limit)s
