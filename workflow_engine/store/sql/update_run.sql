-- update_run.sql: say something else about a run that has not ended. The caller holds it. A trigger moves its labels.
UPDATE runs
   SET priority = %(priority)s, title = %(title)s, description = %(description)s, tags = %(tags)s,
       metadata = %(metadata)s::jsonb
 WHERE id = %(run_id)s
