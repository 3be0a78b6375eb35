-- server_age.sql: how long PostgreSQL has been up; before that nobody could be heard.
SELECT clock_timestamp() - pg_postmaster_start_time() AS age
