-- hold_attempt.sql: hold a running attempt and say what its row says about its run; no row if it does not run.
SELECT settle
  FROM steps
 WHERE run_id = %(run_id)s
   AND position = %(position)s
   AND attempt = %(attempt)s
   AND state = 'running'
   FOR UPDATE
