-- drop_wake_timer.sql: what a suspended step waits for has come in time. Index: timers_run_idx.
DELETE FROM timers
 USING (SELECT id
          FROM timers
         WHERE run_id = %(run_id)s
           AND position = %(position)s
           AND attempt = %(attempt)s
           AND kind = 'wake'
           FOR UPDATE SKIP LOCKED) AS idle   -- one that is being fired finds that its step waits no more
 WHERE timers.id = idle.id
