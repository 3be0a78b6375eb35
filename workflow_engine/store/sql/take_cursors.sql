-- take_cursors.sql: take up to a number of cursors that nobody holds, in the order of preference given.
-- What another relay takes at this moment is skipped.
WITH free AS (
    SELECT cursors.subscriber
      FROM unnest(%(subscribers)s::text[]) WITH ORDINALITY AS wanted (subscriber, number)
      JOIN cursors ON cursors.subscriber = wanted.subscriber
     WHERE cursors.owner IS NULL OR cursors.owner = %(relay_id)s OR cursors.lease_until < clock_timestamp()
     ORDER BY wanted.number
     LIMIT %(limit)s
       FOR UPDATE OF cursors SKIP LOCKED
)
UPDATE cursors
   SET owner = %(relay_id)s,
       generation = generation + 1,
       lease_until = clock_timestamp() + %(lease)s::interval,
       resting_since = NULL
  FROM free
 WHERE cursors.subscriber = free.subscriber
RETURNING cursors.subscriber, cursors.position, cursors.generation
