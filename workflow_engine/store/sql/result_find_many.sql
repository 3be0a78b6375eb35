-- result_find_many.sql: the results of any number of tasks, in one query; with states, only those in one of them.
SELECT task_id, state, result, content_type, content_encoding, traceback, children, date_done,
       group_id, parent_id, name, worker, retries, queue, details
  FROM task_results
 WHERE task_id = ANY(%(task_ids)s)
   AND (%(states)s::text[] IS NULL OR state = ANY(%(states)s))
