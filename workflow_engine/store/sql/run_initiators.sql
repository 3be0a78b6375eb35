-- run_initiators.sql: who submitted runs, for those who follow their own. Index: runs_pkey.
SELECT id, initiator FROM runs WHERE id = ANY(%(run_ids)s)
