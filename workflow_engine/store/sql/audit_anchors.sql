-- audit_anchors.sql: what retention has dropped from the audit log, from a number on. Index: audit_anchors_pkey.
SELECT first_number, previous_hash, number, hash
  FROM audit_anchors
 WHERE first_number >= %(first_number)s
