-- name: heartbeat
INSERT INTO airflow_jobmon.watchers (id, kind, host, pid, delivers, listens)
VALUES (%(id)s, %(kind)s, %(host)s, %(pid)s, %(delivers)s, %(listens)s)
ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp(), listens = excluded.listens

-- name: remove
DELETE FROM airflow_jobmon.watchers WHERE id = %(id)s

-- name: remove_stale
-- Watchers that were killed; a watcher that stops removes its own row.
DELETE FROM airflow_jobmon.watchers WHERE seen_at < clock_timestamp() - interval '1 day'

-- name: delivering_elsewhere
-- Whether another live process delivers alerts by itself, so that no DAG need be woken at once.
SELECT EXISTS (
    SELECT FROM airflow_jobmon.watchers
    WHERE delivers AND id <> %(id)s AND seen_at > clock_timestamp() - interval '15 seconds')

-- name: full_check_is_overdue
-- Whether the hourly check is late: the last check of all jobs was more than an hour ago.
SELECT coalesce(checked_at, '-infinity') < clock_timestamp() - interval '65 minutes'
FROM airflow_jobmon.full_checks
WHERE EXISTS (SELECT FROM airflow_jobmon.job_state)
