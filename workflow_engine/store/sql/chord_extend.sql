-- chord_extend.sql: wait for one part more (Task.add_to_chord); a chord that is complete stays so.
INSERT INTO chords AS chord (group_id, extra)
VALUES (%(group_id)s, 1)
ON CONFLICT (group_id) DO UPDATE
   SET extra = chord.extra + 1,
       touched_at = now()
 WHERE chord.completed_at IS NULL
   AND chord.closed_at IS NULL
