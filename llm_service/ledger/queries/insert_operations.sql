-- One statement for a batch. jsonb_populate_recordset turns each text into the type its column has, so that a table
-- made by another service works too, whether its ids are text or uuid and its times with or without a zone.
INSERT INTO operation_logs (task_id, trace_id, operation, metadata, "timestamp")
SELECT task_id, trace_id, operation, metadata, "timestamp"
FROM jsonb_populate_recordset(NULL::operation_logs, $1::jsonb)
