-- hold_attempt.sql: hold a running attempt and say whether its run fails or is cancelled; no row if it does not run.
SELECT settle > 0 AS ending
  FROM steps
 WHERE run_id = %(run_id)s
   AND position = %(position)s
   AND attempt = %(attempt)s
   AND state = 'running'
   FOR UPDATE
