-- list_namespaces.sql: the namespaces that have workflows. Index: plans_workflow_version_key, skipping from one to the next.
WITH RECURSIVE found AS (
    (SELECT namespace FROM plans ORDER BY namespace LIMIT 1)
     UNION ALL
    SELECT (SELECT plans.namespace FROM plans WHERE plans.namespace > found.namespace ORDER BY plans.namespace LIMIT 1)
      FROM found
     WHERE found.namespace IS NOT NULL
)
SELECT namespace, wfe_namespace_channel(namespace) AS channel
  FROM found
 WHERE namespace IS NOT NULL
