-- find_plan.sql: a registered plan by name and version; without a version, the newest.
SELECT id, namespace, workflow, version, digest, definition
  FROM plans
 WHERE namespace = %(namespace)s
   AND workflow = %(workflow)s
   AND (%(version)s::text IS NULL OR version = %(version)s)
 ORDER BY id DESC
 LIMIT 1
