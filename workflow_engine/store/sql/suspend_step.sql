-- suspend_step.sql: a step waits without its worker, unless its run is ending: then nothing of it waits.
UPDATE steps
   SET state = 'suspended'
 WHERE run_id = %(run_id)s
   AND position = %(position)s
   AND attempt = %(attempt)s
   AND state = 'running'
   AND settle < 2                         -- 2: the run is ending
RETURNING position
