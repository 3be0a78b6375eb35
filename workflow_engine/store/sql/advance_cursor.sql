-- advance_cursor.sql: a subscriber has got everything up to a position. Nothing changes, and no row comes back, if the
-- cursor was taken over, or set by a person, since this relay took it.
-- An advance lost in a crash of the database only repeats a batch, so it does not wait for the disk.
UPDATE cursors
   SET position = %(position)s, advanced_at = clock_timestamp()
 WHERE subscriber = %(subscriber)s
   AND owner = %(relay_id)s
   AND generation = %(generation)s
RETURNING set_config('synchronous_commit', 'off', true)
