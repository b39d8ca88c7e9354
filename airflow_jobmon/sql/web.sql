-- What the data routes read.

-- name: verdicts
SELECT job_name, health, verdict, fresh AND (full_fresh OR %(job_name)s::text IS NOT NULL) AS fresh, awaited,
    CASE WHEN %(job_name)s::text IS NULL THEN all_checked_at ELSE checked_at END AS checked_at
FROM airflow_jobmon.stored_verdicts
WHERE %(job_name)s::text IS NULL OR job_name = %(job_name)s

-- name: disabled
SELECT NOT coalesce((config ->> 'enabled')::boolean, true) FROM airflow_jobmon.jobs WHERE name = %(job_name)s

-- name: summary
SELECT count(*)::integer,
    (count(*) FILTER (WHERE status = 'success'))::integer,
    (count(*) FILTER (WHERE status = 'failed'))::integer,
    round(100.0 * count(*) FILTER (WHERE status = 'success')
        / nullif(count(*) FILTER (WHERE status IN ('success', 'failed')), 0), 2)::float8,
    avg(seconds), percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds),
    percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds), max(seconds), coalesce(sum(records), 0)::bigint
FROM (
    SELECT status,
        CASE WHEN status = 'success' THEN extract(epoch FROM completed_at - started_at)::float8 END AS seconds,
        CASE WHEN status = 'success' THEN records_updated END AS records
    FROM airflow_jobmon.history
    WHERE job_name = %(job_name)s AND NOT drill AND started_at > %(since)s AND started_at <= %(until)s
) counted

-- name: daily
SELECT date, total_runs, successful_runs, failed_runs, success_rate_percent::float8,
    avg_duration_seconds, max_duration_seconds, records_updated::bigint
FROM airflow_jobmon.daily_metrics
WHERE job_name = %(job_name)s AND date >= %(first_day)s
ORDER BY date

-- name: recent_runs
SELECT id, job_name, started_at, completed_at, status, records_updated, left(error_message, 4000)
FROM airflow_jobmon.runs
WHERE job_name = %(job_name)s AND NOT drill
ORDER BY started_at DESC, completed_at DESC NULLS FIRST, id DESC
LIMIT 10

-- name: recent_failures
SELECT id, job_name, started_at, completed_at, status, records_updated, left(error_message, 4000)
FROM airflow_jobmon.runs
WHERE job_name = %(job_name)s AND NOT drill AND status = 'failed' AND started_at > %(until)s - interval '7 days'
ORDER BY started_at DESC, id DESC
LIMIT 100
