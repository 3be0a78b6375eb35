-- close_dead_letters.sql: somebody has decided what becomes of dead steps of a run. Of two who decide at once one wins.
WITH held AS (
    SELECT run_id, position, attempt
      FROM step_dead_letters
     WHERE run_id = %(run_id)s
       AND position = ANY(%(positions)s::integer[])
       AND state = 'dead'
     ORDER BY position                    -- one order for everybody: no deadlock
       FOR UPDATE
)
UPDATE step_dead_letters
   SET state = %(to_state)s, closed_at = clock_timestamp(), closed_by = %(actor)s, reason = %(reason)s
  FROM held
 WHERE step_dead_letters.run_id = held.run_id
   AND step_dead_letters.position = held.position
   AND step_dead_letters.attempt = held.attempt
   AND step_dead_letters.state = 'dead'
RETURNING step_dead_letters.position, step_dead_letters.attempt, step_dead_letters.step
