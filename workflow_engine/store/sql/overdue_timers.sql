-- overdue_timers.sql: how many timers, of at most so many, should have been fired some time ago, and how late the first
-- one is. Index: timers_due_idx.
SELECT count(*)::integer AS number, extract(epoch FROM clock_timestamp() - min(due_at))::float8 AS seconds
  FROM (SELECT due_at
          FROM timers
         WHERE due_at < clock_timestamp() - %(grace)s::interval
         ORDER BY due_at
         LIMIT %(limit)s) AS overdue
