-- requeue_deliveries.sql: dead letters are due again, with all their tries before them.
UPDATE deliveries
   SET state = 'parked', tries = 0, due_at = clock_timestamp()
 WHERE state = 'dead'
   AND (%(subscriber)s::text IS NULL OR subscriber = %(subscriber)s)
   AND (%(event_ids)s::uuid[] IS NULL OR event_id = ANY(%(event_ids)s))
RETURNING subscriber
