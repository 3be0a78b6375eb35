-- set_run_timer.sql: something is to happen to a run a while from now.
INSERT INTO timers (kind, due_at, run_id)
VALUES (%(kind)s, clock_timestamp() + %(delay)s, %(run_id)s)
