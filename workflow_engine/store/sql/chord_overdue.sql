-- chord_overdue.sql: complete chords whose body nobody confirmed: their last part's worker died or found no broker.
SELECT group_id, body, body_content_type, body_content_encoding
  FROM chords
 WHERE completed_at < now() - %(age)s::interval
   AND closed_at IS NULL
   AND body IS NOT NULL
 ORDER BY completed_at
 LIMIT %(limit)s
