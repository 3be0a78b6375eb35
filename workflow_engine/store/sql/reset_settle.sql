-- reset_settle.sql: say anew what whoever ends one of the run's steps must ask. The caller holds them all.
UPDATE steps
   SET settle = %(level)s
 WHERE run_id = %(run_id)s
   AND finished_at IS NULL
   AND settle <> %(level)s
