-- What a user without special rights may know of the server, the room for connections and the operation log's place.
-- LEAST leaves NULL out: a role or a database without a limit of its own (-1) has the server's.
WITH used AS (
    SELECT sum(numbackends)::int AS everywhere,
           (sum(numbackends) FILTER (WHERE datname = current_database()))::int AS here
    FROM pg_stat_database
), mine AS (
    SELECT count(*)::int AS connections FROM pg_stat_activity WHERE usename = current_user
)
SELECT current_setting('server_version') AS version,
       clock_timestamp() AS at,
       coalesce((SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()), false) AS encrypted,
       pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean AS read_only,
       current_schema()::text AS schema,
       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create,
       (
           SELECT relnamespace::regnamespace::text FROM pg_catalog.pg_class
           WHERE relname = 'operation_logs' AND pg_catalog.pg_table_is_visible(oid)
       ) AS table_schema,
       current_setting('max_connections')::int AS max_connections,
       used.everywhere AS connections,
       LEAST(
           current_setting('max_connections')::int - used.everywhere
               - current_setting('superuser_reserved_connections')::int
               - coalesce(current_setting('reserved_connections', true)::int, 0),
           (SELECT rolconnlimit - mine.connections FROM pg_roles WHERE rolname = current_user AND rolconnlimit >= 0),
           (SELECT datconnlimit - used.here FROM pg_database WHERE datname = current_database() AND datconnlimit >= 0)
       ) AS free_connections
FROM used, mine
