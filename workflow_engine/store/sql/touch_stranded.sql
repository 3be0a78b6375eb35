-- touch_stranded.sql: these are being sent again; do not find them again at once.
WITH held AS (
    SELECT steps.run_id, steps.position
      FROM unnest(%(run_ids)s::uuid[], %(positions)s::integer[], %(attempts)s::integer[])
           AS given (run_id, position, attempt)
      JOIN steps
        ON steps.run_id = given.run_id AND steps.position = given.position AND steps.attempt = given.attempt
     WHERE steps.state = 'dispatched'
       FOR UPDATE OF steps SKIP LOCKED    -- whoever holds one is moving it; waiting in no order could deadlock
)
UPDATE steps
   SET dispatched_at = clock_timestamp()
  FROM held
 WHERE steps.run_id = held.run_id
   AND steps.position = held.position
