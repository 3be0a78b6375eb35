-- count_dead_steps.sql: steps that wait for a person, by workflow; of at most `limit`. Index: step_dead_letters_workflow_idx.
SELECT namespace, workflow, count(*) AS number
  FROM (SELECT namespace, workflow FROM step_dead_letters WHERE state = 'dead' LIMIT %(limit)s) AS dead
 GROUP BY namespace, workflow
