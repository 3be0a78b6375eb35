-- log_writers.sql: the transactions that have begun to append to the log and are not over. Whoever has taken an id of
-- the log holds this lock until its rows can be seen or never will be: it is let go after the commit is visible.
-- A prepared transaction has another name than it had before; all of them count as one.
SELECT DISTINCT CASE WHEN left(virtualtransaction, 3) = '-1/' THEN 'prepared' ELSE virtualtransaction END AS writer
  FROM pg_locks
 WHERE locktype = 'relation'
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND relation = 'events'::regclass
   AND mode = 'RowExclusiveLock'
   AND granted
   AND pid IS DISTINCT FROM pg_backend_pid()
