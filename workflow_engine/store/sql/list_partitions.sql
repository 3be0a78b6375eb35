-- list_partitions.sql: the partitions of a table.
SELECT child.relname AS name
  FROM pg_inherits
  JOIN pg_class AS child ON child.oid = pg_inherits.inhrelid
 WHERE pg_inherits.inhparent = to_regclass(%(table)s)
