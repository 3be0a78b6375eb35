-- forget_worker.sql: a worker has stopped in good order.
DELETE FROM workers
 WHERE id = %(worker_id)s
