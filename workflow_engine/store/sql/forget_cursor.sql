-- forget_cursor.sql: delete a cursor that no relay holds, and what its subscriber failed on; no row if one holds it.
WITH gone AS (
    DELETE FROM cursors
     WHERE subscriber = %(subscriber)s
       AND (owner IS NULL OR lease_until < clock_timestamp())
    RETURNING subscriber
), failed AS (
    DELETE FROM deliveries
     USING gone
     WHERE deliveries.subscriber = gone.subscriber
    RETURNING deliveries.state
)
SELECT (SELECT count(*) FROM failed WHERE state = 'parked') AS parked,
       (SELECT count(*) FROM failed WHERE state = 'dead') AS dead
  FROM gone
