-- chord_abandon.sql: delete open chords that no part has reached for so long that none will.
WITH stale AS (
    SELECT group_id
      FROM chords
     WHERE closed_at IS NULL
       AND touched_at < now() - %(age)s::interval
       FOR UPDATE SKIP LOCKED
), parts AS (
    DELETE FROM chord_parts USING stale WHERE chord_parts.group_id = stale.group_id
)
DELETE FROM chords USING stale WHERE chords.group_id = stale.group_id
