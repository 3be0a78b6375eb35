-- chord_close.sql: the body is confirmed as sent: late duplicates of parts find the chord closed.
WITH closed AS (
    UPDATE chords
       SET closed_at = now(), touched_at = now(), body = NULL, structure = NULL
     WHERE group_id = %(group_id)s
       AND closed_at IS NULL
    RETURNING group_id
)
DELETE FROM chord_parts USING closed WHERE chord_parts.group_id = closed.group_id
