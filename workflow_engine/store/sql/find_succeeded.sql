-- find_succeeded.sql: the steps of a run that have succeeded. Index: steps_pkey.
SELECT position
  FROM steps
 WHERE run_id = %(run_id)s
   AND state = 'succeeded'
