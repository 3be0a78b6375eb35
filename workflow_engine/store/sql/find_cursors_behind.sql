-- find_cursors_behind.sql: the subscribers, delivered to of late, that have not got everything up to a position.
SELECT subscriber
  FROM cursors
 WHERE position < %(position)s
   AND greatest(advanced_at, lease_until) > clock_timestamp() - %(active)s::interval
 ORDER BY subscriber
