-- release_steps.sql: take back steps that the broker or a worker could not take. The attempt never happened.
WITH held AS (
    SELECT steps.run_id, steps.position
      FROM steps
      JOIN unnest(%(run_ids)s::uuid[], %(positions)s::integer[], %(attempts)s::integer[])
           AS given (run_id, position, attempt)
        ON steps.run_id = given.run_id AND steps.position = given.position AND steps.attempt = given.attempt
     WHERE steps.state = 'dispatched'
     ORDER BY steps.run_id, steps.position
       FOR UPDATE OF steps
)
UPDATE steps
   SET state = 'ready', attempt = steps.attempt - 1, ready_at = clock_timestamp() + %(delay)s,
       released_since = CASE WHEN steps.released_since > coalesce(steps.started_at, '-infinity')
                             THEN steps.released_since ELSE steps.dispatched_at END
  FROM held
 WHERE steps.run_id = held.run_id
   AND steps.position = held.position
   AND steps.state = 'dispatched'
RETURNING steps.run_id::text AS run_id, steps.position
