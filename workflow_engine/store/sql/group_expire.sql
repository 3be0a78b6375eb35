-- group_expire.sql: delete a batch of saved groups past their time.
DELETE FROM task_groups
 WHERE group_id IN (
           SELECT group_id FROM task_groups WHERE expires_at < now() LIMIT %(batch)s FOR UPDATE SKIP LOCKED
       )
