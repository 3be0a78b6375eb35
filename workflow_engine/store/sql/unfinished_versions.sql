-- unfinished_versions.sql: which versions of workflows have unfinished runs, and how many, of at most so many of the
-- oldest runs. Index: runs_unfinished_idx.
SELECT namespace, workflow, version, count(*)::integer AS runs
  FROM (SELECT namespace, workflow, version FROM runs WHERE finished_at IS NULL ORDER BY created_at LIMIT %(limit)s)
       AS looked
 GROUP BY namespace, workflow, version
 ORDER BY namespace, workflow, version
