-- chord_size.sql: how many parts to wait for; parts may have arrived before.
INSERT INTO chords AS chord (group_id, size)
VALUES (%(group_id)s, %(size)s)
ON CONFLICT (group_id) DO UPDATE
   SET size = excluded.size,
       touched_at = now()
 WHERE chord.closed_at IS NULL
