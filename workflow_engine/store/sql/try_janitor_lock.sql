-- try_janitor_lock.sql: keep other janitors out until the transaction ends.
SELECT pg_try_advisory_xact_lock(7305808170102) AS locked
