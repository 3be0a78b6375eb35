-- delete_schedule.sql: delete a schedule with its history and, by its trigger, its timer. Index: schedules_name_key.
DELETE FROM schedules
 WHERE namespace = %(namespace)s
   AND name = %(name)s
RETURNING id
