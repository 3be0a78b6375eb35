-- chord_claim.sql: take the right to send a complete chord's body, and read what it takes: first the header's
-- structure, then what the parts returned, in the header's order. No row: the claim is another's or the chord is over.
-- The lock is the claim: it ends with the claimant's transaction, also when its process dies, and nobody waits for it.
WITH claimed AS (
    SELECT structure, structure_content_type, structure_content_encoding
      FROM chords
     WHERE group_id = %(group_id)s
       AND arrived >= size + extra
       AND closed_at IS NULL
       FOR UPDATE SKIP LOCKED
)
SELECT -1 AS position, NULL AS task_id, NULL AS state, structure AS result, structure_content_type AS content_type,
       structure_content_encoding AS content_encoding, NULL AS errbacks
  FROM claimed
UNION ALL
SELECT position, task_id, state, result, content_type, content_encoding, errbacks
  FROM chord_parts
 WHERE group_id = %(group_id)s
   AND EXISTS (SELECT FROM claimed)
 ORDER BY position, task_id
