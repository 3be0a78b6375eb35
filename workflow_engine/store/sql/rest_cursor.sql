-- rest_cursor.sql: say since when a subscriber gets nothing because too many of its calls hang, or that it goes on.
UPDATE cursors
   SET resting_since = CASE WHEN %(resting)s THEN coalesce(resting_since, clock_timestamp()) END
 WHERE subscriber = %(subscriber)s
   AND owner = %(relay_id)s
   AND generation = %(generation)s
