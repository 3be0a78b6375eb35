-- fail_run_later.sql: remember the first failure of a run; it fails when nothing of it runs any more.
UPDATE runs
   SET error = %(error)s::jsonb
 WHERE id = %(run_id)s
   AND error IS NULL
