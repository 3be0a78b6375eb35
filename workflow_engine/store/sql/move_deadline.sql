-- move_deadline.sql: say anew when a run is due, unless it has ended. A trigger moves its timers.
UPDATE runs
   SET due_at = %(due_at)s, remind_before = %(remind_before)s::double precision[]
 WHERE id = %(run_id)s
   AND state <> ALL(%(final)s::text[])
RETURNING id
