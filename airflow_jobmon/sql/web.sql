-- What the data routes read.

-- name: verdicts
-- The stored verdicts of all jobs, or of one, and whether each is news. Where all jobs were checked within two hours, one
-- whose verdict is older is watched no longer; else what they say is no news, but of a job that was itself checked.
-- A job that was registered a moment ago has none yet; one that nobody registered and nobody judges is ignored.
WITH fresh AS (
    SELECT coalesce(least(checked_at, (SELECT max(st.checked_at) FROM airflow_jobmon.job_state st))
        > clock_timestamp() - interval '2 hours', false) AS fresh
    FROM airflow_jobmon.full_checks
    WHERE checked_at IS NOT NULL
    UNION ALL
    SELECT false FROM airflow_jobmon.full_checks WHERE checked_at IS NULL
)
SELECT st.job_name, st.health, st.verdict,
    coalesce(st.checked_at > clock_timestamp() - interval '2 hours', false) AND (fresh.fresh OR %(job_name)s::text IS NOT NULL)
FROM airflow_jobmon.job_state st
CROSS JOIN fresh
LEFT JOIN airflow_jobmon.jobs j ON j.name = st.job_name
WHERE (%(job_name)s::text IS NULL OR st.job_name = %(job_name)s)
    AND coalesce((j.config ->> 'enabled')::boolean, true)
    AND (NOT fresh.fresh OR st.checked_at > clock_timestamp() - interval '2 hours'
        OR (st.checked_at IS NULL AND j.name IS NOT NULL))

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
