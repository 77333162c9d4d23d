-- By the catalogue's rows and not by to_regclass: that one asks a session's cache, which does not learn of a table made
-- by another session while this one waited for an advisory lock.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class WHERE relname = $1::text AND pg_catalog.pg_table_is_visible(oid)
)
