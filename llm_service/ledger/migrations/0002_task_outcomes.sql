-- The terminal event of each run, byte for byte. A run is one message of a task: topic/partition/offset. An id may have
-- many runs (FAILED is followed by a new one), so both are the key; it also serves who looks for a success of an id.
CREATE TABLE task_outcomes (
    task_id       text        NOT NULL,
    run           text        NOT NULL,
    status        smallint    NOT NULL CHECK (status IN (3, 4)),
    event_id      text        NOT NULL,
    digest        text,
    event_key     bytea,
    event_value   bytea,
    event_headers bytea       NOT NULL,
    recorded_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (task_id, run)
);
COMMENT ON COLUMN task_outcomes.digest IS 'SHA-256 of the message that was answered; NULL where only the event was seen';
COMMENT ON COLUMN task_outcomes.event_headers IS 'JSON: [[name, base64 or null], …]';

-- Successes that the service which ran here before has kept are events of their ids: asked again, they are said again.
-- By way of JSON, so that it does not matter which types its columns have, or which of them it lacks.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_catalog.pg_class WHERE relname = 'task_results' AND pg_catalog.pg_table_is_visible(oid)
    ) THEN
        INSERT INTO task_outcomes (task_id, run, status, event_id, event_key, event_value, event_headers)
        SELECT old.task_id, 'task_results/' || old.task_id, 3, md5(old.value::text),
               convert_to(old.task_id, 'UTF8'), convert_to(old.value::text, 'UTF8'),
               convert_to(jsonb_build_array(
                   jsonb_build_array('status', encode('3', 'base64')),
                   jsonb_build_array('trace_id', replace(encode(convert_to(old.trace_id, 'UTF8'), 'base64'), E'\n', ''))
               )::text, 'UTF8')
        FROM (
            SELECT answer ->> 'task_id' AS task_id,
                   coalesce(answer ->> 'trace_id', answer ->> 'task_id') AS trace_id,
                   jsonb_build_object(
                       'task_id', answer ->> 'task_id',
                       'status', 3,
                       'result', CASE jsonb_typeof(answer -> 'result')
                           WHEN 'string' THEN answer ->> 'result' ELSE (answer -> 'result')::text END,
                       'tokens_used', answer -> 'tokens_used',
                       'processing_time_ms', answer -> 'processing_time_ms'
                   ) AS value
            FROM (SELECT to_jsonb(task_results) AS answer FROM task_results) AS rows
            WHERE upper(answer ->> 'status') IN ('3', 'SUCCESS', 'COMPLETED', 'DONE')
              AND jsonb_typeof(answer -> 'result') <> 'null' AND length(answer ->> 'task_id') BETWEEN 1 AND 500
        ) AS old
        ON CONFLICT DO NOTHING;
    END IF;
END
$$;
