-- lock_due_schedules.sql: hold those of some schedules that are due; a timer may be older than a change of its schedule.
SELECT id, namespace, name, workflow, version, input, options, cron, rrule, time_zone, starts_at, ends_at, anchor_at,
       catch_up, overlap, paused_at, next_at, last_at, created_at, updated_at, input::text AS input_text, input_digest,
       clock_timestamp() AS now
  FROM schedules
 WHERE id = ANY(%(schedule_ids)s::bigint[])
   AND next_at <= clock_timestamp()
 ORDER BY id
   FOR NO KEY UPDATE
