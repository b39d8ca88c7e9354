-- The metrics of one job, for dashboards.

-- name: window
-- The runs that started in the window, by UTC day, and last, without a day, all of them: so the days add up to the whole.
-- The first and the last day, which the window cuts, are counted from the log; those between are counted already.
WITH counted AS (
    SELECT day, total_runs, successful_runs, failed_runs, timed_runs, duration_sum, duration_max, records_sum
    FROM airflow_jobmon.days
    WHERE job_name = %(job_name)s
        AND day > airflow_jobmon.day_of(%(since)s) AND day < airflow_jobmon.day_of(%(until)s)
    UNION ALL
    SELECT airflow_jobmon.day_of(started_at), 1, (status = 'success')::integer, (status = 'failed')::integer,
        (seconds IS NOT NULL)::integer, seconds, seconds, records
    FROM airflow_jobmon.history,
        LATERAL (
            SELECT CASE status WHEN 'success' THEN extract(epoch FROM completed_at - started_at)::float8 END,
                CASE status WHEN 'success' THEN records_updated END
        ) of_success (seconds, records)
    WHERE job_name = %(job_name)s AND NOT drill AND started_at > %(since)s AND started_at <= %(until)s
        AND (started_at < airflow_jobmon.day_start(airflow_jobmon.day_of(%(since)s) + 1)
            OR started_at >= airflow_jobmon.day_start(airflow_jobmon.day_of(%(until)s)))
)
SELECT day, coalesce(sum(total_runs), 0)::integer AS total_runs,
    coalesce(sum(successful_runs), 0)::integer AS successful_runs, coalesce(sum(failed_runs), 0)::integer AS failed_runs,
    round(100.0 * sum(successful_runs) / nullif(sum(successful_runs + failed_runs), 0), 2)::float8 AS success_rate,
    sum(duration_sum) / nullif(sum(timed_runs), 0) AS avg_duration_seconds,
    max(duration_max) AS max_duration_seconds, sum(records_sum)::bigint AS records_updated
FROM counted
GROUP BY GROUPING SETS ((day), ())
ORDER BY day

-- name: durations
-- Median and 95th percentile. Of runs that left the database, the durations of whole days are stored.
WITH frozen AS MATERIALIZED (
    SELECT day, durations
    FROM airflow_jobmon.job_days
    WHERE job_name = %(job_name)s AND frozen AND durations IS NOT NULL
        AND day > airflow_jobmon.day_of(%(since)s) AND day < airflow_jobmon.day_of(%(until)s)
)
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS p50_duration_seconds,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95_duration_seconds
FROM (
    SELECT extract(epoch FROM completed_at - started_at)::float8 AS seconds
    FROM airflow_jobmon.history
    WHERE job_name = %(job_name)s AND NOT drill AND status = 'success'
        AND started_at > %(since)s AND started_at <= %(until)s
        AND airflow_jobmon.day_of(started_at) NOT IN (SELECT day FROM frozen)
    UNION ALL
    SELECT unnest(durations) FROM frozen
) successes

-- name: recent_runs
-- The ten newest runs.
SELECT id, job_name, started_at, completed_at, status, records_updated,
    left(error_message, 4000) AS error_message
FROM airflow_jobmon.runs
WHERE job_name = %(job_name)s AND NOT drill
ORDER BY started_at DESC, completed_at DESC NULLS FIRST, id DESC
LIMIT 10

-- name: recent_failures
-- Failed runs of the last seven days.
SELECT id, job_name, started_at, completed_at, status, records_updated,
    left(error_message, 4000) AS error_message
FROM airflow_jobmon.runs
WHERE job_name = %(job_name)s AND NOT drill AND status = 'failed' AND started_at > %(until)s - interval '7 days'
ORDER BY started_at DESC, id DESC
LIMIT 100
