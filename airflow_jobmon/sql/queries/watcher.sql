-- name: heartbeat
INSERT INTO airflow_jobmon.watchers (id, kind, host, pid, delivers, listens)
VALUES (%(id)s, %(kind)s, %(host)s, %(pid)s, %(delivers)s, %(listens)s)
ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp(), listens = excluded.listens

-- name: forget
DELETE FROM airflow_jobmon.watchers WHERE id = %(id)s

-- name: forget_stale
DELETE FROM airflow_jobmon.watchers WHERE seen_at < clock_timestamp() - interval '1 day'

-- name: delivering_elsewhere
-- Whether some process is alive that delivers by itself, so that a DAG need not be woken at once.
SELECT EXISTS (
    SELECT FROM airflow_jobmon.watchers
    WHERE delivers AND id <> %(id)s AND seen_at > clock_timestamp() - interval '15 seconds')

-- name: check_is_owed
-- Whether the hourly check is late: nobody checked all jobs for more than an hour.
SELECT coalesce(checked_at, '-infinity') < clock_timestamp() - interval '65 minutes'
FROM airflow_jobmon.full_checks
WHERE EXISTS (SELECT FROM airflow_jobmon.job_state)
