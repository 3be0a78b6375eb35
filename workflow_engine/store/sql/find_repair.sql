-- find_repair.sql: children of a finished attempt that were set free but that no worker has claimed.
-- Asked when a message comes again: the first time its worker may have died between commit and publish.
SELECT child.position, child.attempt
  FROM steps AS parent
  JOIN steps AS child ON child.run_id = parent.run_id AND child.position = ANY(%(children)s::integer[])
 WHERE parent.run_id = %(run_id)s
   AND parent.position = %(position)s
   AND parent.attempt = %(attempt)s
   AND parent.state = 'succeeded'
   AND child.state = 'dispatched'
 ORDER BY child.position
