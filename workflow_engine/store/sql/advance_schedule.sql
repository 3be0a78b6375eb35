-- advance_schedule.sql: say what is next and what was last; the trigger sets the timer, also for what is next already.
UPDATE schedules
   SET next_at = %(next_at)s,
       last_at = coalesce(%(last_at)s, last_at)
 WHERE id = %(schedule_id)s
