-- save_schedule.sql: change a schedule that this transaction holds; its trigger moves its timer.
UPDATE schedules
   SET version = %(version)s,
       input = coalesce(%(input)s::json, input),
       input_digest = coalesce(%(input_digest)s, input_digest),
       options = %(options)s::jsonb,
       cron = %(cron)s,
       rrule = %(rrule)s,
       time_zone = %(time_zone)s,
       starts_at = %(starts_at)s,
       ends_at = %(ends_at)s,
       anchor_at = %(anchor_at)s,
       catch_up = %(catch_up)s,
       overlap = %(overlap)s,
       paused_at = %(paused_at)s,
       next_at = %(next_at)s,
       updated_at = clock_timestamp()
 WHERE id = %(schedule_id)s
RETURNING id, namespace, name, workflow, version, input, options, cron, rrule, time_zone, starts_at, ends_at, anchor_at,
          catch_up, overlap, paused_at, next_at, last_at, created_at, updated_at
