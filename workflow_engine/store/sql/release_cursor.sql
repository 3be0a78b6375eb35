-- release_cursor.sql: a relay gives a cursor up, unless it is another's already.
UPDATE cursors
   SET owner = NULL, lease_until = NULL, resting_since = NULL
 WHERE subscriber = %(subscriber)s
   AND owner = %(relay_id)s
   AND generation = %(generation)s
