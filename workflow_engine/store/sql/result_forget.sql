-- result_forget.sql: AsyncResult.forget().
DELETE FROM task_results WHERE task_id = %(task_id)s
