-- try_lead.sql: take a role's advisory lock for this connection, unless another one has it.
SELECT pg_try_advisory_lock(%(space)s, hashtext(%(role)s)) AS elected
