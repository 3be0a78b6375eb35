-- record_leader.sql: the holder of a role's lock says that it is awake. It need not survive a crash: nor does the lock.
INSERT INTO leaders (role, name, backend_pid, elected_at, heartbeat_at, release, clock_ahead)
VALUES (%(role)s, %(name)s, pg_backend_pid(), clock_timestamp(), clock_timestamp(), %(release)s,
        extract(epoch FROM %(told_at)s::timestamptz - clock_timestamp()))
    ON CONFLICT (role) DO UPDATE
   SET name = excluded.name, backend_pid = excluded.backend_pid, heartbeat_at = excluded.heartbeat_at,
       release = excluded.release, clock_ahead = excluded.clock_ahead,
       elected_at = CASE WHEN leaders.backend_pid = excluded.backend_pid AND leaders.name = excluded.name
                         THEN leaders.elected_at ELSE excluded.elected_at END
