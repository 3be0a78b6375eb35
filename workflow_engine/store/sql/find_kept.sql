-- find_kept.sql: the step that a worker claimed together with the completion of another one.
-- Nobody but that statement gives a step the very moment of the completion. Asked when the process is gone that did it:
-- it may have died before it could tell its main process with what it goes on.
SELECT steps.position, steps.attempt
  FROM steps AS done
  JOIN steps ON steps.run_id = done.run_id
            AND steps.state = 'running'
            AND steps.worker_id = %(worker_id)s::uuid
            AND steps.started_at = done.finished_at
 WHERE done.run_id = %(run_id)s
   AND done.position = %(position)s
   AND done.attempt = %(attempt)s
   AND done.state = 'succeeded'
