-- touch_stranded.sql: these are being sent again; do not find them again at once.
UPDATE steps
   SET dispatched_at = clock_timestamp()
  FROM unnest(%(run_ids)s::uuid[], %(positions)s::integer[], %(attempts)s::integer[]) AS given (run_id, position, attempt)
 WHERE steps.run_id = given.run_id
   AND steps.position = given.position
   AND steps.attempt = given.attempt
   AND steps.state = 'dispatched'
