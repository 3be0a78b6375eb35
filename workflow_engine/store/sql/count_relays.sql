-- count_relays.sql: how many relays that are alive could deliver to each of these subscribers.
SELECT wanted.subscriber, count(*) AS relays
  FROM unnest(%(subscribers)s::text[]) AS wanted (subscriber)
  JOIN relays ON wanted.subscriber = ANY(relays.subscribers)
 WHERE relays.heartbeat_at > clock_timestamp() - %(lease)s::interval
 GROUP BY wanted.subscriber
