-- present_moment.sql: what time it is, by the clock that all hosts go by.
SELECT clock_timestamp() AS now
