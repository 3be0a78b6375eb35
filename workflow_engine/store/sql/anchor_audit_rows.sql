-- anchor_audit_rows.sql: leave an anchor for each unbroken sequence of a month's audit rows, which are dropped next.
-- Rows are numbered as they are recorded: around the turn of a month, numbers of both months alternate.
-- Index: audit_log_pkey.
WITH placed AS (
    SELECT number, previous_hash, hash,
           lag(number) OVER numbers IS DISTINCT FROM number - 1 AS begins,
           lead(number) OVER numbers IS DISTINCT FROM number + 1 AS ends
      FROM audit_log
     WHERE occurred_at >= %(start)s
       AND occurred_at < %(end)s
    WINDOW numbers AS (ORDER BY number)
), edges AS (
    SELECT number AS first_number, previous_hash, begins,
           CASE WHEN ends THEN number ELSE lead(number) OVER numbers END AS number,
           CASE WHEN ends THEN hash ELSE lead(hash) OVER numbers END AS hash
      FROM placed
     WHERE begins OR ends
    WINDOW numbers AS (ORDER BY number)
)
INSERT INTO audit_anchors (first_number, previous_hash, number, hash, month)
SELECT first_number, previous_hash, number, hash, (%(start)s::timestamptz AT TIME ZONE 'UTC')::date
  FROM edges
 WHERE begins
