-- audit_head.sql: where the audit log ends.
SELECT number, hash
  FROM audit_head
