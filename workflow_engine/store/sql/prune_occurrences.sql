-- prune_occurrences.sql: forget what became of a schedule's old occurrences, a few at a time; they never come again.
DELETE FROM occurrences
 WHERE schedule_id = %(schedule_id)s
   AND occurs_at IN (
       SELECT occurs_at
         FROM occurrences
        WHERE schedule_id = %(schedule_id)s
          AND occurs_at < clock_timestamp() - %(keep)s::interval
        ORDER BY occurs_at
        LIMIT %(limit)s
   )
