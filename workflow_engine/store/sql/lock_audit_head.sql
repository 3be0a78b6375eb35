-- lock_audit_head.sql: where the audit log ends; nobody else adds to it until the transaction ends.
-- Its commit does not wait for the disk: a crash of the database that loses it loses the cursor's advance, which
-- comes after it, as well, and the events are delivered again.
SELECT number, hash, clock_timestamp() AS now, set_config('synchronous_commit', 'off', true) AS setting
  FROM audit_head
   FOR UPDATE
