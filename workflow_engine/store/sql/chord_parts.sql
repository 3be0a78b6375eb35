-- chord_parts.sql: what the parts of a chord returned, in the header's order.
SELECT task_id, state, result, content_type, content_encoding, errbacks
  FROM chord_parts
 WHERE group_id = %(group_id)s
 ORDER BY position, task_id
