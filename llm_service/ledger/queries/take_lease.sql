-- By the database's clock alone, and ending by itself: an advisory lock of a process that is stopped and not dead would
-- be held for as long as its session lives.
INSERT INTO status_fold_leases AS lease (topic, holder, until)
VALUES ($1, $2, clock_timestamp() + make_interval(secs => $3))
ON CONFLICT (topic) DO UPDATE SET holder = EXCLUDED.holder, until = EXCLUDED.until
WHERE lease.holder = EXCLUDED.holder OR lease.until < clock_timestamp()
RETURNING holder
