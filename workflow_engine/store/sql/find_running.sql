-- find_running.sql: which of these attempts are running, and how many attempts of their steps count no more. Index:
-- steps_pkey.
SELECT given.run_id::text AS run_id, given.position, given.attempt, steps.forgiven
  FROM unnest(%(run_ids)s::uuid[], %(positions)s::integer[], %(attempts)s::integer[])
       AS given (run_id, position, attempt)
  JOIN steps
    ON steps.run_id = given.run_id
   AND steps.position = given.position
   AND steps.attempt = given.attempt
   AND steps.state = 'running'
