-- insert_schedule.sql: store a schedule; no row comes back where its name is taken. Index: schedules_name_key.
INSERT INTO schedules (
    namespace, name, workflow, version, input, input_digest, options, cron, rrule, time_zone, starts_at, ends_at,
    anchor_at, catch_up, overlap, next_at
)
VALUES (
    %(namespace)s, %(name)s, %(workflow)s, %(version)s, %(input)s::json, %(input_digest)s, %(options)s::jsonb, %(cron)s,
    %(rrule)s, %(time_zone)s, %(starts_at)s, %(ends_at)s, %(anchor_at)s, %(catch_up)s, %(overlap)s, %(next_at)s
)
    ON CONFLICT (namespace, name) DO NOTHING
RETURNING id, namespace, name, workflow, version, input, options, cron, rrule, time_zone, starts_at, ends_at, anchor_at,
          catch_up, overlap, paused_at, next_at, last_at, created_at, updated_at
