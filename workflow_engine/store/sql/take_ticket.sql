-- take_ticket.sql: use up a ticket: of two who come with it, one gets it. Index: stream_tickets_pkey.
DELETE FROM stream_tickets WHERE digest = %(digest)s RETURNING caller, expires_at > clock_timestamp() AS is_good
