-- database_time.sql: what time it is by the clock that all processes share.
SELECT clock_timestamp() AS now
