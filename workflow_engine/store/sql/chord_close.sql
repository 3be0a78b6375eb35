-- chord_close.sql: the body is confirmed as sent: late duplicates of parts find the chord closed. The commit does not
-- wait for the disk: what a crash of the database takes back is a confirmation, and the body is sent a second time.
WITH closed AS (
    UPDATE chords
       SET closed_at = now(), touched_at = now(), body = NULL, structure = NULL
     WHERE group_id = %(group_id)s
       AND closed_at IS NULL
    RETURNING group_id
), parts AS (
    DELETE FROM chord_parts USING closed WHERE chord_parts.group_id = closed.group_id
)
SELECT set_config('synchronous_commit', 'off', true) FROM closed
