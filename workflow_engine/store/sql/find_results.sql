-- find_results.sql: the results of some steps of a run, by position.
SELECT json_object_agg(position, result) AS results
  FROM steps
 WHERE run_id = %(run_id)s
   AND position = ANY(%(positions)s::integer[])
