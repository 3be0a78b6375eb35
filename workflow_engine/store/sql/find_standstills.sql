-- find_standstills.sql: of the oldest unfinished runs after a place those that stand still: nothing of them has moved for a
-- part of their limit. A run that waits for a time, a signal or a person, or that a living worker works for, does not. What is
-- handed out and given back again and again does: it stands since it was first handed out. At least one row comes back, with
-- how far was looked. Index: runs_unfinished_idx, events_run_idx, then steps_pkey.
WITH looked AS MATERIALIZED (
    SELECT runs.id, runs.workflow, runs.version, runs.state, runs.created_at, runs.stale_told,
           greatest(runs.created_at, runs.started_at, runs.retried_at, runs.scheduled_at, pg_postmaster_start_time())
           AS moved_at,
           make_interval(secs => coalesce(plans.stale_after, %(default_limit)s)) AS stale_after
      FROM runs
      JOIN plans ON plans.id = runs.plan_id
     WHERE runs.finished_at IS NULL
       AND (runs.created_at, runs.id) > (%(after_at)s::timestamptz, %(after_id)s::uuid)
       AND (%(namespace)s::text IS NULL OR runs.namespace = %(namespace)s::text)
     ORDER BY runs.created_at, runs.id
     LIMIT %(looked)s
), still AS (
    SELECT looked.id, looked.workflow, looked.version, looked.state, looked.created_at, looked.stale_told,
           looked.stale_after, greatest(looked.moved_at, moved.at) AS since
      FROM looked
     CROSS JOIN LATERAL (
           SELECT max(greatest(
                      steps.started_at,
                      steps.finished_at,
                      CASE WHEN steps.released_since > coalesce(steps.started_at, '-infinity') THEN steps.released_since
                           ELSE greatest(steps.dispatched_at, steps.ready_at) END,
                      -- a silent worker's step is about to be given away; one of a worker that is gone, at once
                      CASE WHEN steps.state = 'running'
                           THEN coalesce(greatest(workers.heartbeat_at, steps.started_at), clock_timestamp()) END))
                  AS at,
                  coalesce(bool_or(
                      steps.state = 'suspended'
                      OR steps.state = 'running' AND workers.heartbeat_at > clock_timestamp() - %(lease)s::interval
                      OR steps.ready_at > clock_timestamp()
                         AND coalesce(steps.released_since, '-infinity') <= coalesce(steps.started_at, '-infinity')
                  ), false) AS waits
             FROM steps
             LEFT JOIN workers ON workers.id = steps.worker_id AND steps.state = 'running'
            WHERE steps.run_id = looked.id
           ) AS moved
     WHERE looked.state <> 'paused'
       AND looked.moved_at < clock_timestamp() - looked.stale_after * %(part)s::float8
       AND NOT EXISTS (                   -- of what is at work, however many steps it has, only the last event is read
           SELECT
             FROM (SELECT events.name, events.occurred_at
                     FROM events
                    WHERE events.run_id = looked.id
                    ORDER BY events.id DESC
                    LIMIT 1) AS last
            WHERE last.occurred_at > clock_timestamp() - looked.stale_after * %(part)s::float8
              AND last.name NOT IN ('step.dispatched', 'step.released', 'run.stale'))
       AND NOT moved.waits
       AND moved.at < clock_timestamp() - looked.stale_after * %(part)s::float8
), found AS (
    SELECT * FROM still ORDER BY created_at, id LIMIT %(limit)s
)
SELECT found.id::text AS run_id, found.workflow, found.version, found.state, found.created_at, found.stale_told, found.since,
       found.stale_after, clock_timestamp() - found.since AS stands_for, place.number, place.created_at AS looked_at,
       place.id::text AS looked_id
  FROM (SELECT count(*) OVER () AS number, created_at, id FROM looked ORDER BY created_at DESC, id DESC LIMIT 1) AS place
  LEFT JOIN found ON true
 ORDER BY found.created_at, found.id
