-- page_occurrences.sql: what became of a schedule's occurrences, the newest first, before one of them.
SELECT occurs_at, until, run_id::text AS run_id, skipped, recorded_at
  FROM occurrences
 WHERE schedule_id = %(schedule_id)s
   AND (%(before)s::timestamptz IS NULL OR occurs_at < %(before)s)
 ORDER BY occurs_at DESC
 LIMIT %(limit)s
