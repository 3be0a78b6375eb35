-- is_current.sql: may a running attempt go on? Not if its run is being cancelled or has timed out (settle 3), nor if the
-- attempt was given away.
SELECT EXISTS(
       SELECT FROM steps
         JOIN runs ON runs.id = steps.run_id AND runs.state <> 'cancelling'
        WHERE steps.run_id = %(run_id)s
          AND steps.position = %(position)s
          AND steps.attempt = %(attempt)s
          AND steps.settle < 3
          AND steps.state = 'running') AS current
