-- page_relays.sql: the relays heard of within the last day, by name.
SELECT name, release, clock_ahead, extract(epoch FROM clock_timestamp() - heartbeat_at)::float8 AS silent_seconds
  FROM relays
 ORDER BY name, started_at
