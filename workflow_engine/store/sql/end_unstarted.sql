-- end_unstarted.sql: cancel or skip steps that have not started. The caller holds them.
UPDATE steps
   SET state = %(to_state)s, finished_at = clock_timestamp(), ready_at = NULL
 WHERE run_id = %(run_id)s
   AND position = ANY(%(positions)s::integer[])
   AND state IN ('waiting', 'ready', 'dispatched', 'retrying')
RETURNING position
