-- longest_running.sql: for how long the step that runs for longest has run, in the oldest so many unfinished runs.
-- Index: runs_unfinished_idx, then steps_pkey.
SELECT extract(epoch FROM clock_timestamp() - min(steps.started_at))::float8 AS seconds
  FROM (SELECT id FROM runs WHERE finished_at IS NULL ORDER BY created_at LIMIT %(limit)s) AS looked
  JOIN steps ON steps.run_id = looked.id AND steps.state = 'running'
