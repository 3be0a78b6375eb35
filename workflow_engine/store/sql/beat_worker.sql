-- beat_worker.sql: a worker is alive; its heartbeat is the lease of all its steps. What it says of itself may change.
INSERT INTO workers (id, name, pid, queues, pool, concurrency, release, workflows, clock_ahead)
VALUES (%(worker_id)s, %(name)s, %(pid)s, %(queues)s, %(pool)s, %(concurrency)s, %(release)s, %(workflows)s,
        extract(epoch FROM %(told_at)s::timestamptz - clock_timestamp()))
    ON CONFLICT (id) DO UPDATE
   SET heartbeat_at = clock_timestamp(),
       queues = excluded.queues,
       pool = excluded.pool,
       concurrency = excluded.concurrency,
       release = excluded.release,
       workflows = excluded.workflows,
       clock_ahead = excluded.clock_ahead
