-- find_signal.sql: does a run have a signal with a key, and is it the same? Index: signals_key.
SELECT name = %(name)s AND payload::jsonb = %(payload)s::jsonb AS same
  FROM signals
 WHERE run_id = %(run_id)s
   AND key = %(key)s
