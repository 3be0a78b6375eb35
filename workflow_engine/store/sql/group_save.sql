-- group_save.sql: GroupResult.save().
INSERT INTO task_groups (group_id, result, content_type, content_encoding, saved_at, expires_at)
VALUES (
    %(group_id)s, %(result)s, %(content_type)s, %(content_encoding)s, now(), now() + %(expires)s::interval
)
ON CONFLICT (group_id) DO UPDATE
   SET result = excluded.result,
       content_type = excluded.content_type,
       content_encoding = excluded.content_encoding,
       saved_at = excluded.saved_at,
       expires_at = excluded.expires_at
