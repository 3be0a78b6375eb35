-- find_given_away.sql: which of these attempts a worker no longer holds: failed or lost in its absence, cancelled by hand,
-- or tried again. Not those it has completed or suspended, nor those it has yet to claim. Index: steps_pkey.
SELECT given.run_id::text AS run_id, given.position, given.attempt
  FROM unnest(%(run_ids)s::uuid[], %(positions)s::integer[], %(attempts)s::integer[])
       AS given (run_id, position, attempt)
  JOIN steps ON steps.run_id = given.run_id AND steps.position = given.position
 WHERE steps.attempt > given.attempt
    OR (steps.attempt = given.attempt
        AND (steps.state NOT IN ('dispatched', 'running', 'suspended', 'succeeded')
             OR (steps.state = 'running' AND steps.worker_id <> %(worker_id)s)))
