-- move_cursor.sql: set a cursor, for a person. Its holder sees the new generation and begins again from there.
UPDATE cursors
   SET position = coalesce(%(position)s, position), generation = generation + 1, advanced_at = clock_timestamp()
 WHERE subscriber = ANY(%(subscribers)s)
RETURNING subscriber
