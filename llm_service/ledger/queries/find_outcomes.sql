-- Of each question the row of its very run, else the first success of its id. One look into the primary key each.
SELECT asked.n, kept.*
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked (task_id, run, n)
CROSS JOIN LATERAL (
    SELECT task_id, run, status, digest, event_key, event_value, event_headers
    FROM task_outcomes
    WHERE task_outcomes.task_id = asked.task_id AND (task_outcomes.run = asked.run OR task_outcomes.status = 3)
    ORDER BY (task_outcomes.run = asked.run) DESC, recorded_at, task_outcomes.run
    LIMIT 1
) AS kept
