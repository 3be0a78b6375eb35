-- take_signal.sql: the oldest signal of a name that no step has had goes to a step. Index: signals_kept_idx.
WITH oldest AS (
    SELECT id
      FROM signals
     WHERE run_id = %(run_id)s
       AND name = %(name)s
       AND consumed_by IS NULL
     ORDER BY id
     LIMIT 1
       FOR UPDATE SKIP LOCKED             -- two steps that come at once take two signals
)
UPDATE signals
   SET consumed_by = %(position)s
  FROM oldest
 WHERE signals.id = oldest.id
RETURNING signals.payload::text AS payload
