-- forget_worker.sql: a worker has stopped in good order, or died so long ago that nothing of it is left.
DELETE FROM workers
 WHERE id = %(worker_id)s
    OR heartbeat_at < clock_timestamp() - interval '1 day'
