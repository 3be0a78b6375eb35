-- bound_statements.sql: let no statement of this transaction take longer, whatever holds it up.
SELECT set_config('statement_timeout', %(milliseconds)s::text, true)
