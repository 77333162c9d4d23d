-- The first row of a run wins. Rows go in by their key's order, so that two workers with the same runs do not wait for
-- each other. A row that the fold wrote before its worker did lacks the message's digest; it gets it here.
WITH came AS (
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::smallint[], $4::text[], $5::text[], $6::bytea[], $7::bytea[], $8::bytea[]
    ) AS rows (task_id, run, status, event_id, digest, event_key, event_value, event_headers)
), named AS (
    UPDATE task_outcomes AS kept SET digest = came.digest
    FROM came
    WHERE kept.task_id = came.task_id AND kept.run = came.run AND kept.event_id = came.event_id
      AND kept.digest IS NULL AND came.digest IS NOT NULL
)
INSERT INTO task_outcomes (task_id, run, status, event_id, digest, event_key, event_value, event_headers)
SELECT * FROM came ORDER BY task_id, run
ON CONFLICT (task_id, run) DO NOTHING
RETURNING task_id, run
