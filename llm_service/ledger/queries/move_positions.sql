-- Never back: who folds the same stretch a second time adds nothing.
INSERT INTO status_fold_positions AS kept (topic, partition, next_offset)
SELECT $1, * FROM unnest($2::int[], $3::bigint[])
ON CONFLICT (topic, partition) DO UPDATE SET next_offset = GREATEST(kept.next_offset, EXCLUDED.next_offset)
