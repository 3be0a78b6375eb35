-- keep_signal.sql: store a signal, unless the run has one with its key. Index: signals_key.
INSERT INTO signals (run_id, name, payload, actor, key, consumed_by)
VALUES (%(run_id)s, %(name)s, %(payload)s::json, %(actor)s, %(key)s, %(consumed_by)s)
    ON CONFLICT (run_id, key) WHERE key IS NOT NULL DO NOTHING
RETURNING id
