-- find_leader.sql: who was last heard of to lead in a role, and how long ago. Index: leaders_pkey.
SELECT name, release, clock_ahead, extract(epoch FROM clock_timestamp() - heartbeat_at)::float8 AS silent_seconds
  FROM leaders
 WHERE role = %(role)s
