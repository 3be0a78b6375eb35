-- forgiven_attempts.sql: how many attempts of a step count no more, for whoever ends an attempt that it did not claim.
SELECT forgiven FROM steps WHERE run_id = %(run_id)s AND position = %(position)s
