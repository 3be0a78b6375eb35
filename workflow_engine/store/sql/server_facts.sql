-- server_facts.sql: how PostgreSQL is set up, how busy it is, and what time it is to it. Reads the sessions, no table.
SELECT current_setting('server_version') AS version,
       current_setting('max_connections')::integer AS max_connections,
       current_setting('superuser_reserved_connections')::integer AS reserved_connections,
       (SELECT count(*)::integer FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
       current_setting('fsync') = 'on' AS fsync,
       current_setting('full_page_writes') = 'on' AS full_page_writes,
       current_setting('synchronous_commit') <> 'off' AS synchronous_commit,
       pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on' AS is_read_only,
       (SELECT extract(epoch FROM clock_timestamp() - min(xact_start))::float8
          FROM pg_stat_activity
         WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid())
       AS oldest_transaction_seconds,
       clock_timestamp() AS now
