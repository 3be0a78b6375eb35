-- beat_relay.sql: a relay is alive and would deliver to these subscribers; forget those that have long been silent.
WITH forgotten AS (
    DELETE FROM relays
     WHERE heartbeat_at < clock_timestamp() - interval '1 day'
       AND id <> %(relay_id)s
)
INSERT INTO relays (id, name, subscribers, release, clock_ahead)
VALUES (%(relay_id)s, %(name)s, %(subscribers)s, %(release)s,
        extract(epoch FROM %(told_at)s::timestamptz - clock_timestamp()))
    ON CONFLICT (id) DO UPDATE
   SET heartbeat_at = clock_timestamp(), subscribers = excluded.subscribers, release = excluded.release,
       clock_ahead = excluded.clock_ahead
