-- set_timer.sql: put a timer back that could not be fired.
INSERT INTO timers (kind, due_at, run_id, position, attempt, schedule_id, data)
VALUES (%(kind)s, clock_timestamp() + %(delay)s, %(run_id)s, %(position)s, %(attempt)s, %(schedule_id)s, %(data)s::jsonb)
