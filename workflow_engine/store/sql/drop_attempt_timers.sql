-- drop_attempt_timers.sql: an attempt has ended; nothing of it is awaited any more. Index: timers_run_idx.
DELETE FROM timers
 WHERE run_id = %(run_id)s
   AND position = %(position)s
   AND attempt = %(attempt)s
   AND kind = ANY(%(kinds)s)
RETURNING set_config('synchronous_commit', 'off', true)
