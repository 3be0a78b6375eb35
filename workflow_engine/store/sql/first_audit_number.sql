-- first_audit_number.sql: the first number recorded for events at or after a moment. Index: audit_log_pkey.
SELECT min(number) AS number
  FROM audit_log
 WHERE occurred_at >= %(start)s
