-- register_cursors.sql: give subscribers that are new a cursor, at the head of the log or before its first event.
INSERT INTO cursors (subscriber, position)
SELECT known.subscriber,
       CASE WHEN known.from_beginning THEN 0 ELSE (SELECT coalesce(max(id), 0) FROM events) END
  FROM unnest(%(subscribers)s::text[], %(from_beginning)s::boolean[]) AS known (subscriber, from_beginning)
    ON CONFLICT (subscriber) DO NOTHING
