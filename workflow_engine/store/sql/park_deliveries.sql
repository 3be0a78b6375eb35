-- park_deliveries.sql: keep events that a subscriber failed on, and those of the same runs that come after them.
-- What is kept already (a replay came by again) is kept anew.
INSERT INTO deliveries (
    subscriber, position, event_id, event_name, run_id, namespace, envelope, state, tries, due_at, error_class,
    message, failed_at
)
SELECT %(subscriber)s, parked.position, parked.event_id, parked.event_name, parked.run_id, parked.namespace,
       parked.envelope, parked.state, parked.tries, clock_timestamp() + parked.due_in, parked.error_class,
       parked.message, CASE WHEN parked.error_class IS NOT NULL THEN clock_timestamp() END
  FROM unnest(%(positions)s::bigint[], %(event_ids)s::uuid[], %(event_names)s::text[], %(run_ids)s::uuid[],
              %(namespaces)s::text[], %(envelopes)s::jsonb[], %(states)s::text[], %(tries)s::integer[],
              %(due_in)s::interval[], %(error_classes)s::text[], %(messages)s::text[])
       AS parked (position, event_id, event_name, run_id, namespace, envelope, state, tries, due_in, error_class,
                  message)
    ON CONFLICT (subscriber, position) DO UPDATE
   SET state = excluded.state, tries = excluded.tries, due_at = excluded.due_at,
       error_class = excluded.error_class, message = excluded.message, failed_at = excluded.failed_at
