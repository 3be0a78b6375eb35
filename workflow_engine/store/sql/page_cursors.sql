-- page_cursors.sql: how far each subscriber is, who delivers to it, and what waits. Index: events_pkey, deliveries_*.
SELECT cursors.subscriber, cursors.position, cursors.resting_since, cursors.registered_at, cursors.advanced_at,
       relays.name AS relay, log.head, next.occurred_at AS waiting_since,
       (SELECT count(*)
          FROM deliveries
         WHERE deliveries.subscriber = cursors.subscriber AND deliveries.state = 'parked') AS parked,
       (SELECT count(*)
          FROM deliveries
         WHERE deliveries.subscriber = cursors.subscriber AND deliveries.state = 'dead') AS dead
  FROM cursors
 CROSS JOIN (SELECT coalesce(max(id), 0) AS head FROM events) AS log
  LEFT JOIN relays ON relays.id = cursors.owner AND cursors.lease_until > clock_timestamp()
  LEFT JOIN LATERAL (
       SELECT occurred_at FROM events WHERE events.id > cursors.position ORDER BY events.id LIMIT 1
       ) AS next ON true
 ORDER BY cursors.subscriber
