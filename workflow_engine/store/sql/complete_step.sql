-- complete_step.sql: record a success, count it at every join it feeds, dispatch the bodies it completes, and finish
-- the run if it was the last sink. One statement, so one durable commit.
-- No row comes back if the attempt is not running (a late or repeated message; or not where somebody who resolves it by
-- hand found it), or if `settle` is not as expected: a step of a run that has seen a failure, a cancel or a pause is
-- completed with settle = true, and the caller then asks whether the run is over. With `hold` the bodies are ready, and
-- wait for their run to be resumed.
WITH done AS (
    UPDATE steps
       SET state = 'succeeded', result = %(result)s::json, error = NULL, finished_at = clock_timestamp(),
           ready_at = NULL
     WHERE run_id = %(run_id)s
       AND position = %(position)s
       AND attempt = %(attempt)s
       AND state = %(was)s
       AND (settle <> 0) = %(settle)s
 RETURNING finished_at
), held AS (
    SELECT steps.position
      FROM done, steps
     WHERE steps.run_id = %(run_id)s
       AND steps.position = ANY(%(children)s::integer[])
       AND cardinality(%(children)s::integer[]) > 1      -- one row needs no order
     ORDER BY steps.position              -- one order for everybody: no deadlock
       FOR UPDATE OF steps
), counted AS (
    UPDATE steps
       SET missing = steps.missing - 1,
           state = CASE WHEN steps.missing > 1 THEN steps.state WHEN %(hold)s THEN 'ready' ELSE 'dispatched' END,
           attempt = CASE WHEN steps.missing > 1 OR %(hold)s THEN steps.attempt ELSE 1 END,
           dispatched_at = CASE WHEN steps.missing = 1 AND NOT %(hold)s THEN done.finished_at END,
           ready_at = CASE WHEN steps.missing = 1 AND %(hold)s THEN done.finished_at END
      FROM done
     WHERE steps.run_id = %(run_id)s
       AND steps.position = ANY(%(children)s::integer[])  -- by key, not by a join: a run may have 10,000 rows
       AND steps.state = 'waiting'
       AND (SELECT count(*) FROM held) >= 0               -- every lock is held before the first change
 RETURNING steps.position, steps.missing = 0 AND NOT %(hold)s AS dispatched
), finished AS (
    UPDATE runs
       SET sinks_left = runs.sinks_left - 1,
           state = CASE WHEN runs.sinks_left = 1 THEN 'succeeded' ELSE runs.state END,
           finished_at = CASE WHEN runs.sinks_left = 1 THEN done.finished_at END
      FROM done
     WHERE %(sink)s
       AND NOT %(settle)s
       AND runs.id = %(run_id)s
       AND runs.state IN ('running', 'paused')
 RETURNING runs.sinks_left = 0 AS over
), published AS (
    INSERT INTO events (
        run_id, plan_id, namespace, correlation_id, traceparent, occurred_at, name, step, attempt, cause, data
    )
    SELECT runs.id, runs.plan_id, runs.namespace, runs.correlation_id, runs.traceparent, done.finished_at,
           fact.name, fact.step, fact.attempt, fact.cause, fact.data
      FROM done
      JOIN runs ON runs.id = %(run_id)s
     CROSS JOIN LATERAL (
           SELECT %(completed_name)s AS name, %(step)s::text AS step,
                  CASE WHEN %(was)s IN ('running', 'suspended') THEN %(attempt)s::integer END AS attempt, NULL AS cause,
                  %(completed)s::jsonb AS data
            UNION ALL
           SELECT 'step.dispatched', child.name, 1, %(cause)s, child.data
             FROM unnest(%(children)s::integer[], %(child_names)s::text[], %(child_data)s::jsonb[])
                  AS child (position, name, data)
             JOIN counted ON counted.position = child.position AND counted.dispatched
            UNION ALL
           SELECT 'run.succeeded', NULL, NULL, %(cause)s, %(run_succeeded)s::jsonb
             FROM finished
            WHERE finished.over
          ) AS fact
)
SELECT ARRAY(SELECT position FROM counted WHERE dispatched ORDER BY position) AS dispatched,
       EXISTS(SELECT FROM finished WHERE over) AS run_finished,
       CASE WHEN EXISTS(SELECT FROM counted WHERE dispatched)
            THEN (SELECT priority FROM runs WHERE id = %(run_id)s) END AS run_priority,  -- it may have changed since the claim
       done.finished_at
  FROM done
