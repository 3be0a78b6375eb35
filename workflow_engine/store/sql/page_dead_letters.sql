-- page_dead_letters.sql: dead letters, the oldest event first. Index: deliveries_dead_idx or deliveries_event_idx.
SELECT subscriber, position, event_id::text AS event_id, event_name, run_id::text AS run_id, namespace, envelope, tries,
       error_class, message, created_at, failed_at
  FROM deliveries
 WHERE state = 'dead'
   AND (%(subscriber)s::text IS NULL OR subscriber = %(subscriber)s)
   AND (%(event_id)s::uuid IS NULL OR event_id = %(event_id)s)
 ORDER BY position, subscriber
 LIMIT %(limit)s
