-- keep_dead_letter.sql: keep what is known of a step that has just failed for good.
INSERT INTO step_dead_letters (
    run_id, position, attempt, attempts, namespace, workflow, version, step, error_class, message, traceback, failed_at
)
SELECT steps.run_id, steps.position, steps.attempt, steps.attempt - steps.forgiven, runs.namespace, runs.workflow,
       runs.version, %(step)s, %(error_class)s, %(message)s, %(traceback)s, steps.finished_at
  FROM steps
  JOIN runs ON runs.id = steps.run_id
 WHERE steps.run_id = %(run_id)s
   AND steps.position = %(position)s
   AND steps.attempt = %(attempt)s
   AND steps.state = 'failed'
