-- discard_deliveries.sql: give dead letters up.
DELETE FROM deliveries
 WHERE state = 'dead'
   AND (%(subscriber)s::text IS NULL OR subscriber = %(subscriber)s)
   AND (%(event_ids)s::uuid[] IS NULL OR event_id = ANY(%(event_ids)s))
RETURNING subscriber
