-- restore_steps.sql: steps that were skipped or cancelled wait for their parents again. The caller holds them.
UPDATE steps
   SET state = 'waiting', finished_at = NULL, missing = given.missing
  FROM unnest(%(positions)s::integer[], %(missing)s::integer[]) AS given (position, missing)
 WHERE steps.run_id = %(run_id)s
   AND steps.position = given.position
   AND steps.state IN ('skipped', 'cancelled')
