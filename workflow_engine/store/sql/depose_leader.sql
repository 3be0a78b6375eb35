-- depose_leader.sql: end the connection of a leader that holds the lock but has not said for long that it is awake: its
-- process is stopped, or its host is gone without a word. What it does when it wakes, it finds undone or done.
SELECT leaders.name, pg_terminate_backend(locks.pid) AS deposed
  FROM pg_locks AS locks
  JOIN leaders ON leaders.role = %(role)s AND leaders.backend_pid = locks.pid
 WHERE locks.locktype = 'advisory'
   AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND locks.classid = %(space)s
   AND locks.objid = (hashtext(%(role)s)::bigint & 4294967295)::oid
   AND locks.granted
   AND leaders.heartbeat_at < clock_timestamp() - %(lease)s::interval
