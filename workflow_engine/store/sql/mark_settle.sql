-- mark_settle.sql: from now on, whoever ends one of the run's steps must ask whether the run is over.
UPDATE steps
   SET settle = %(level)s
 WHERE run_id = %(run_id)s
   AND finished_at IS NULL
   AND settle < %(level)s
   AND (settle >= 0 OR %(level)s > 1)     -- below 0: the run is paused, and whoever ends a step of it asks anyway
