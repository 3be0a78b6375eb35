-- has_unfinished.sql: does any step of the run still have something to do?
SELECT EXISTS(SELECT FROM steps WHERE run_id = %(run_id)s AND finished_at IS NULL) AS unfinished
