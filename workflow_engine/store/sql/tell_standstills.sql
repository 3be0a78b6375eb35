-- tell_standstills.sql: remember of runs the standstill that is being told of; those that were told of before do not come back.
UPDATE runs
   SET stale_told = given.since
  FROM unnest(%(run_ids)s::uuid[], %(moments)s::timestamptz[]) AS given (run_id, since)
 WHERE runs.id = given.run_id
   AND runs.finished_at IS NULL
   AND (runs.stale_told IS NULL OR runs.stale_told < given.since)
RETURNING runs.id::text AS run_id
