-- chord_structure.sql: how to nest the results of a header that holds groups.
INSERT INTO chords AS chord (group_id, structure, structure_content_type, structure_content_encoding)
VALUES (%(group_id)s, %(structure)s, %(content_type)s, %(content_encoding)s)
ON CONFLICT (group_id) DO UPDATE
   SET structure = excluded.structure,
       structure_content_type = excluded.structure_content_type,
       structure_content_encoding = excluded.structure_content_encoding,
       touched_at = now()
 WHERE chord.closed_at IS NULL
