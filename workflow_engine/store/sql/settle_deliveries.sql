-- settle_deliveries.sql: after another try forget what was delivered; the rest is due again later, or dead.
WITH settled AS (
    SELECT *
      FROM unnest(%(positions)s::bigint[], %(states)s::text[], %(due_in)s::interval[], %(error_classes)s::text[],
                  %(messages)s::text[]) AS each (position, state, due_in, error_class, message)
), delivered AS (
    DELETE FROM deliveries
     USING settled
     WHERE deliveries.subscriber = %(subscriber)s
       AND deliveries.position = settled.position
       AND deliveries.state = 'parked'
       AND settled.state = 'delivered'
)
UPDATE deliveries
   SET state = settled.state,
       tries = tries + 1,
       due_at = clock_timestamp() + settled.due_in,
       error_class = settled.error_class,
       message = settled.message,
       failed_at = clock_timestamp()
  FROM settled
 WHERE deliveries.subscriber = %(subscriber)s
   AND deliveries.position = settled.position
   AND deliveries.state = 'parked'
   AND settled.state IN ('parked', 'dead')
