-- count_timers.sql: how many timers there are, of each kind, of at most so many. Index: timers_due_idx.
SELECT kind, count(*)::integer AS number
  FROM (SELECT kind FROM timers ORDER BY due_at LIMIT %(limit)s) AS pending
 GROUP BY kind
