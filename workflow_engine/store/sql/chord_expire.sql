-- chord_expire.sql: delete a batch of chords closed long enough ago, with what duplicates of their parts left.
WITH stale AS (
    SELECT group_id FROM chords WHERE closed_at < now() - %(age)s::interval LIMIT %(batch)s FOR UPDATE SKIP LOCKED
), parts AS (
    DELETE FROM chord_parts USING stale WHERE chord_parts.group_id = stale.group_id
)
DELETE FROM chords USING stale WHERE chords.group_id = stale.group_id
