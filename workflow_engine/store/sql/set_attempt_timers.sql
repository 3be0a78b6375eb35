-- set_attempt_timers.sql: the moments by which an attempt must have shown a sign of life, or ended.
-- As little durable as the claim before it: it does not wait for the disk.
WITH quick AS (
    SELECT set_config('synchronous_commit', 'off', true)
)
INSERT INTO timers (kind, due_at, run_id, position, attempt, data)
SELECT given.kind, clock_timestamp() + make_interval(secs => given.seconds), %(run_id)s, %(position)s, %(attempt)s,
       jsonb_build_object('plan_id', %(plan_id)s::bigint)
  FROM quick, unnest(%(kinds)s::text[], %(seconds)s::float8[]) AS given (kind, seconds)
