-- Only the very event that no topic took gives way.
UPDATE task_outcomes
SET status = $4, event_id = $5, digest = coalesce($6, digest), event_key = $7, event_value = $8, event_headers = $9
WHERE task_id = $1 AND run = $2 AND event_id = $3
