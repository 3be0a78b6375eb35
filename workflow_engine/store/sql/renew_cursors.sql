-- renew_cursors.sql: a relay goes on holding what it holds; whoever set a cursor meanwhile has changed its generation.
UPDATE cursors
   SET lease_until = clock_timestamp() + %(lease)s::interval
 WHERE owner = %(relay_id)s
RETURNING subscriber, position, generation
