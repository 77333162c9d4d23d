-- The service's own tables and those of the service before; another application's may hold a task_id of its own.
SELECT c.relname AS name, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS quoted
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname IN ('operation_logs', 'task_results', 'task_outcomes')
    AND c.relkind IN ('r', 'p') AND pg_catalog.pg_table_is_visible(c.oid)
ORDER BY c.relname
