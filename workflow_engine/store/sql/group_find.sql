-- group_find.sql: GroupResult.restore().
SELECT result, content_type, content_encoding FROM task_groups WHERE group_id = %(group_id)s
