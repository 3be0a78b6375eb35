-- forget_relay.sql: a relay has stopped; what it still holds is free.
WITH freed AS (
    UPDATE cursors
       SET owner = NULL, lease_until = NULL
     WHERE owner = %(relay_id)s
)
DELETE FROM relays WHERE id = %(relay_id)s
