-- due_deliveries.sql: what a subscriber is to be given again: parked events before which none of their run has to wait.
-- At one moment for all rows: with a clock that goes on, the second event of a run could be due and the first not yet.
SELECT due.position, due.tries, due.envelope
  FROM deliveries AS due
 WHERE due.subscriber = %(subscriber)s
   AND due.state = 'parked'
   AND (due.due_at IS NULL OR due.due_at <= statement_timestamp())
   AND NOT EXISTS (
       SELECT
         FROM deliveries AS ahead
        WHERE ahead.subscriber = due.subscriber
          AND ahead.run_id = due.run_id
          AND ahead.state = 'parked'
          AND ahead.position < due.position
          AND ahead.due_at > statement_timestamp())
 ORDER BY due.position
 LIMIT %(limit)s
