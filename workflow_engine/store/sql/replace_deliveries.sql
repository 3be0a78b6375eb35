-- replace_deliveries.sql: forget what failed after a position the cursor goes back to: it will be delivered again.
-- Not what retention has taken from the log: of that this is the last copy.
DELETE FROM deliveries
 WHERE subscriber = %(subscriber)s
   AND position > %(position)s
   AND EXISTS (SELECT FROM events WHERE events.id = deliveries.position)
