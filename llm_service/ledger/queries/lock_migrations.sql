-- Several workers start at once, and CREATE TABLE is not safe against itself. The number is "llm-service" cut to 8 bytes.
SELECT pg_advisory_xact_lock(x'6c6c6d2d73657276'::bigint)
