-- move_run.sql: change a run's state, unless someone else did.
UPDATE runs
   SET state = %(to_state)s,
       finished_at = CASE WHEN %(final)s THEN clock_timestamp() END
 WHERE id = %(run_id)s
   AND state = ANY(%(from_states)s::text[])
RETURNING id
