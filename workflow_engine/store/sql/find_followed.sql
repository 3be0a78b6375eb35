-- find_followed.sql: the step that was claimed together with a completion whose answer was lost on its way.
-- Nobody but that statement gives a step the very moment of the completion, so whoever completed is who claimed.
SELECT steps.dispatched_at AS next_dispatched_at, steps.started_at AS finished_at,
       (SELECT json_object_agg(parent.position, parent.result)
          FROM steps AS parent
         WHERE parent.run_id = %(run_id)s
           AND parent.position = ANY(%(parents)s::integer[])) AS next_results
  FROM steps AS done
  JOIN steps ON steps.run_id = done.run_id
            AND steps.position = %(follow)s
            AND steps.state = 'running'
            AND steps.attempt = 1
            AND steps.worker_id = %(worker_id)s::uuid
            AND steps.started_at = done.finished_at
 WHERE done.run_id = %(run_id)s
   AND done.position = %(position)s
   AND done.attempt = %(attempt)s
   AND done.state = 'succeeded'
