-- beat_worker.sql: a worker is alive; its heartbeat is the lease of all its steps. What it says of itself may change.
INSERT INTO workers (id, name, pid, queues, pool, concurrency)
VALUES (%(worker_id)s, %(name)s, %(pid)s, %(queues)s, %(pool)s, %(concurrency)s)
    ON CONFLICT (id) DO UPDATE
   SET heartbeat_at = clock_timestamp(),
       queues = excluded.queues,
       pool = excluded.pool,
       concurrency = excluded.concurrency
