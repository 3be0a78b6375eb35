-- record_occurrences.sql: say what becomes of occurrences; back come those of which nobody has said it before.
INSERT INTO occurrences (schedule_id, occurs_at, until, run_id, skipped)
SELECT %(schedule_id)s, found.occurs_at, found.until, found.run_id, found.skipped
  FROM unnest(%(occurs_at)s::timestamptz[], %(until)s::timestamptz[], %(run_ids)s::uuid[], %(skipped)s::text[])
       AS found (occurs_at, until, run_id, skipped)
    ON CONFLICT (schedule_id, occurs_at) DO NOTHING
RETURNING occurs_at
