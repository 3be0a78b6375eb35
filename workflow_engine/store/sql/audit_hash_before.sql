-- audit_hash_before.sql: the hash of a row of the audit log, there or dropped by retention. Index: audit_log_pkey.
SELECT hash FROM audit_log WHERE number = %(number)s
 UNION ALL
SELECT hash FROM audit_anchors WHERE number = %(number)s
 LIMIT 1
