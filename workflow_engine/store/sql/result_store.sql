-- result_store.sql: keep a task's state and result; a SUCCESS is never replaced, whatever arrives late. What only
-- tells of progress (STARTED, RETRY, the application's own states) does not wait for the disk.
WITH stored AS (
    INSERT INTO task_results AS kept (
        task_id, state, result, content_type, content_encoding, traceback, children, date_done,
        group_id, parent_id, name, worker, retries, queue, details, stored_at, expires_at
    ) VALUES (
        %(task_id)s, %(state)s, %(result)s, %(content_type)s, %(content_encoding)s, %(traceback)s, %(children)s,
        %(date_done)s, %(group_id)s, %(parent_id)s, %(name)s, %(worker)s, %(retries)s, %(queue)s, %(details)s,
        now(), now() + %(expires)s::interval
    )
    ON CONFLICT (task_id) DO UPDATE
       SET state = excluded.state,
           result = excluded.result,
           content_type = excluded.content_type,
           content_encoding = excluded.content_encoding,
           traceback = excluded.traceback,
           children = excluded.children,
           date_done = excluded.date_done,
           group_id = excluded.group_id,
           parent_id = excluded.parent_id,
           name = excluded.name,
           worker = excluded.worker,
           retries = excluded.retries,
           queue = excluded.queue,
           details = excluded.details,
           stored_at = excluded.stored_at,
           expires_at = excluded.expires_at
     WHERE kept.state <> 'SUCCESS'
)
SELECT set_config('synchronous_commit', 'off', true) WHERE NOT %(durable)s
