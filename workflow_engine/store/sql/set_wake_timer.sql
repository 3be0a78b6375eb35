-- set_wake_timer.sql: when a suspended step has waited long enough: at a moment, or so many seconds from now.
INSERT INTO timers (kind, due_at, run_id, position, attempt, data)
VALUES ('wake', coalesce(%(until)s::timestamptz, clock_timestamp() + make_interval(secs => %(seconds)s::float8)),
        %(run_id)s, %(position)s, %(attempt)s, jsonb_build_object('plan_id', %(plan_id)s::bigint))
RETURNING due_at
