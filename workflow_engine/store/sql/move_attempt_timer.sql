-- move_attempt_timer.sql: an attempt has shown a sign of life. No row comes back if its timer is gone. Index: timers_run_idx.
UPDATE timers
   SET due_at = clock_timestamp() + make_interval(secs => %(seconds)s)
 WHERE run_id = %(run_id)s
   AND position = %(position)s
   AND attempt = %(attempt)s
   AND kind = %(kind)s
RETURNING set_config('synchronous_commit', 'off', true)
