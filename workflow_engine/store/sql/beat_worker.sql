-- beat_worker.sql: a worker is alive; its heartbeat is the lease of all its steps.
INSERT INTO workers (id, name, pid)
VALUES (%(worker_id)s, %(name)s, %(pid)s)
    ON CONFLICT (id) DO UPDATE SET heartbeat_at = clock_timestamp()
