-- lock_audit_head.sql: where the audit log ends; nobody else adds to it until the transaction ends.
SELECT number, hash, clock_timestamp() AS now
  FROM audit_head
   FOR UPDATE
