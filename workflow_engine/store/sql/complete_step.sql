-- complete_step.sql: record a success, count it at every join it feeds, dispatch the bodies it completes, and finish
-- the run if it was the last sink. One statement, so one durable commit.
-- No row comes back if the attempt is not running (a late or repeated message; or not where somebody who resolves it by
-- hand found it), or if `settle` is not as expected: a step of a run that has seen a failure, a cancel or a pause is
-- completed with settle = true, and the caller then asks whether the run is over. With `hold` the bodies are ready, and
-- wait for their run to be resumed. A step that was `idle`, and not running, may have been due.
-- The worker may go on with one more step at once, and then claims it here: a body (`keep`), if this completion sets it
-- free, or a step that waits for this very process (`take`); not with `hold`. The claim is as durable as the completion.
-- Each step is completed with the parts it needs (`-- [part` to `-- part]`, hot_steps.py): PostgreSQL makes every node of a
-- plan ready each time it runs, also those that then do nothing.
WITH done AS (
    UPDATE steps
       SET state = 'succeeded', result = %(result)s::json, error = NULL, finished_at = clock_timestamp()
-- [idle
           , ready_at = NULL
-- idle]
     WHERE run_id = %(run_id)s
       AND position = %(position)s
       AND attempt = %(attempt)s
       AND state = %(was)s
       AND (settle <> 0) = %(settle)s
 RETURNING finished_at
)
-- [children
-- [several
, held AS (
    SELECT steps.position
      FROM done, steps
     WHERE steps.run_id = %(run_id)s
       AND steps.position = ANY(%(children)s::integer[])
     ORDER BY steps.position              -- one order for everybody: no deadlock
       FOR UPDATE OF steps
)
-- several]
, counted AS (
    UPDATE steps
       SET missing = steps.missing - 1,
           state = CASE WHEN steps.missing > 1 THEN steps.state
-- [hold
                        WHEN %(hold)s THEN 'ready'
-- hold]
-- [keep
                        WHEN steps.position = %(keep)s::integer THEN 'running'
-- keep]
                        ELSE 'dispatched' END,
-- [keep
           started_at = CASE WHEN steps.missing = 1 AND steps.position = %(keep)s::integer THEN done.finished_at END,
           worker_id = CASE WHEN steps.missing = 1 AND steps.position = %(keep)s::integer THEN %(worker_id)s::uuid END,
           kept = steps.missing = 1 AND steps.position = %(keep)s::integer,
-- keep]
-- [hold
           ready_at = CASE WHEN steps.missing = 1 AND %(hold)s THEN done.finished_at END,
-- hold]
           attempt = CASE WHEN steps.missing > 1
-- [hold
                               OR %(hold)s
-- hold]
                          THEN steps.attempt ELSE 1 END,
           dispatched_at = CASE WHEN steps.missing = 1
-- [hold
                                     AND NOT %(hold)s
-- hold]
                                THEN done.finished_at END
      FROM done
     WHERE steps.run_id = %(run_id)s
       AND steps.state = 'waiting'
-- [only
       AND steps.position = %(child)s::integer
-- only]
-- [several
       AND steps.position = ANY(%(children)s::integer[])  -- by key, not by a join: a run may have 10,000 rows
       AND (SELECT count(*) FROM held) >= 0               -- every lock is held before the first change
-- several]
 RETURNING steps.position,
           steps.missing = 0
-- [hold
               AND NOT %(hold)s
-- hold]
               AS dispatched
-- [keep
           , steps.missing = 0 AND steps.position = %(keep)s::integer AS kept
-- keep]
)
-- children]
-- [take
, taken AS (
    UPDATE steps
       SET state = 'running', worker_id = %(worker_id)s::uuid, started_at = done.finished_at, kept = true
      FROM done
     WHERE steps.run_id = %(run_id)s
       AND steps.position = (SELECT waiting.position
                               FROM steps AS waiting
                              WHERE waiting.run_id = %(run_id)s
                                AND waiting.position = %(take)s::integer
                                AND waiting.attempt = 1
                                AND waiting.state = 'dispatched'
                                AND waiting.settle = 0
                                FOR UPDATE SKIP LOCKED)   -- whoever holds it has it: to wait for him could be a deadlock
 RETURNING steps.dispatched_at
)
-- take]
-- [sink
, finished AS (
    UPDATE runs
       SET sinks_left = runs.sinks_left - 1,
           state = CASE WHEN runs.sinks_left = 1 THEN 'succeeded' ELSE runs.state END,
           finished_at = CASE WHEN runs.sinks_left = 1 THEN done.finished_at END
      FROM done
     WHERE NOT %(settle)s
       AND runs.id = %(run_id)s
       AND runs.state IN ('running', 'paused')
 RETURNING runs.sinks_left = 0 AS over
)
-- sink]
, published AS (
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
-- [only
            UNION ALL
           SELECT 'step.dispatched', %(child_name)s::text, 1, %(cause)s, %(child_data)s::jsonb
             FROM counted
            WHERE dispatched
-- only]
-- [several
            UNION ALL
           SELECT 'step.dispatched', child.name, 1, %(cause)s, child.data
             FROM unnest(%(children)s::integer[], %(child_names)s::text[], %(children_data)s::jsonb[])
                  AS child (position, name, data)
             JOIN counted ON counted.position = child.position AND counted.dispatched
-- several]
-- [keep
            UNION ALL
           SELECT 'step.started', %(next_step)s::text, 1, %(next_cause)s::text, %(next_started)s::jsonb
             FROM counted
            WHERE kept
-- keep]
-- [take
            UNION ALL
           SELECT 'step.started', %(next_step)s::text, 1, %(next_cause)s::text, %(next_started)s::jsonb
             FROM taken
-- take]
-- [sink
            UNION ALL
           SELECT 'run.succeeded', NULL, NULL, %(cause)s, %(run_succeeded)s::jsonb
             FROM finished
            WHERE finished.over
-- sink]
          ) AS fact
)
SELECT done.finished_at
-- [children
       , ARRAY(SELECT position FROM counted WHERE dispatched
-- [several
                ORDER BY position
-- several]
              ) AS dispatched
-- children]
-- [sent
       , CASE WHEN EXISTS(SELECT FROM counted WHERE dispatched)
              THEN (SELECT priority FROM runs WHERE id = %(run_id)s) END AS run_priority  -- it may have changed since the claim
-- sent]
-- [sink
       , EXISTS(SELECT FROM finished WHERE over) AS run_finished
-- sink]
-- [keep
       , (SELECT done.finished_at FROM counted WHERE kept) AS kept_since   -- null: it was not claimed
-- keep]
-- [take
       , (SELECT dispatched_at FROM taken) AS taken_since
       , (SELECT json_object_agg(parent.position, parent.result)
            FROM steps AS parent
           WHERE parent.run_id = %(run_id)s
             AND parent.position = ANY(%(next_parents)s::integer[])) AS next_results
-- take]
  FROM done
