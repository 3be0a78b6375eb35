-- group_delete.sql: GroupResult.delete().
DELETE FROM task_groups WHERE group_id = %(group_id)s
