-- chord_arrive.sql: a part has finished: keep its result, count it once, and say whether the chord is complete.
-- One statement, so one commit. The row of the chord is locked last and until the commit: whoever counts the last
-- part sees all others. The body is kept only by the one who completes the chord: it is what a rescuer sends.
WITH stored AS (
    INSERT INTO task_results AS kept (
        task_id, state, result, content_type, content_encoding, traceback, children, date_done,
        group_id, parent_id, name, worker, retries, queue, details, stored_at, expires_at
    )
    SELECT %(task_id)s, %(state)s, %(result)s, %(content_type)s, %(content_encoding)s, %(traceback)s,
           %(children)s, %(date_done)s, %(group_id)s, %(parent_id)s, %(name)s, %(worker)s, %(retries)s::int,
           %(queue)s, %(details)s, now(), now() + %(expires)s::interval
     WHERE %(store)s
    ON CONFLICT (task_id) DO UPDATE
       SET state = excluded.state,
           result = excluded.result,
           content_type = excluded.content_type,
           content_encoding = excluded.content_encoding,
           traceback = excluded.traceback,
           children = excluded.children,
           date_done = excluded.date_done,
           group_id = excluded.group_id,
           parent_id = excluded.parent_id,
           name = excluded.name,
           worker = excluded.worker,
           retries = excluded.retries,
           queue = excluded.queue,
           details = excluded.details,
           stored_at = excluded.stored_at,
           expires_at = excluded.expires_at
     WHERE kept.state <> 'SUCCESS'
), part AS (
    -- a second delivery is not counted, but a success heals a failure, as it does in task_results
    INSERT INTO chord_parts AS part (
        group_id, task_id, position, state, result, content_type, content_encoding, errbacks
    ) VALUES (
        %(chord_id)s, %(task_id)s, %(position)s, %(state)s, %(result)s, %(content_type)s, %(content_encoding)s,
        %(errbacks)s
    )
    ON CONFLICT (group_id, task_id, position) DO UPDATE
       SET deliveries = part.deliveries + 1,
           state = CASE part.state WHEN 'SUCCESS' THEN part.state ELSE excluded.state END,
           result = CASE part.state WHEN 'SUCCESS' THEN part.result ELSE excluded.result END,
           content_type = CASE part.state
               WHEN 'SUCCESS' THEN part.content_type ELSE excluded.content_type END,
           content_encoding = CASE part.state
               WHEN 'SUCCESS' THEN part.content_encoding ELSE excluded.content_encoding END
    RETURNING deliveries
), counted AS (
    INSERT INTO chords AS chord (group_id, arrived)
    SELECT %(chord_id)s, 1 FROM part WHERE deliveries = 1
    ON CONFLICT (group_id) DO UPDATE
       SET arrived = chord.arrived + 1,
           touched_at = now(),
           completed_at = CASE WHEN chord.arrived + 1 >= chord.size + chord.extra THEN now() END,
           body = CASE WHEN chord.arrived + 1 >= chord.size + chord.extra THEN %(body)s END,
           body_content_type = %(body_content_type)s,
           body_content_encoding = %(body_content_encoding)s
     WHERE chord.closed_at IS NULL
    RETURNING arrived >= size + extra AS is_complete
)
SELECT is_complete FROM counted
UNION ALL
-- not counted: a duplicate, which finds a body that nobody has confirmed, or a chord that is over
SELECT arrived >= size + extra AND closed_at IS NULL AS is_complete
  FROM chords
 WHERE group_id = %(chord_id)s
   AND NOT EXISTS (SELECT FROM counted)
