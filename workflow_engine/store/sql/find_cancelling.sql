-- find_cancelling.sql: of these runs, those that are being cancelled still. Index: runs_pkey.
SELECT id::text AS run_id
  FROM runs
 WHERE id = ANY(%(run_ids)s::uuid[])
   AND state = 'cancelling'
 ORDER BY id
