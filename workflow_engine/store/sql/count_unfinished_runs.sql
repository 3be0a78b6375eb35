-- count_unfinished_runs.sql: the oldest unfinished runs by state, so many that counting has an end. Index:
-- runs_unfinished_idx.
SELECT state, count(*) AS number
  FROM (SELECT state FROM runs WHERE finished_at IS NULL ORDER BY created_at LIMIT %(limit)s) AS oldest
 GROUP BY state
