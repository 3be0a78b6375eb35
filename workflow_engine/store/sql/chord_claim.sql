-- chord_claim.sql: take the right to send a complete chord's body. The lock is the claim: it ends with the claimant's
-- transaction, also when its process dies, and a second claimant does not wait for it.
SELECT structure, structure_content_type, structure_content_encoding
  FROM chords
 WHERE group_id = %(group_id)s
   AND arrived >= size + extra
   AND closed_at IS NULL
   FOR UPDATE SKIP LOCKED
