-- Views for people and dashboards: plain SQL over `history` and the stored verdicts, drills left out, times in the
-- reader's time zone, units in the names. Created again by every migrate.

CREATE OR REPLACE VIEW airflow_jobmon.recent_executions AS
SELECT id, job_name, started_at, completed_at, duration_seconds, records_updated, status, error_message
FROM (
    SELECT *, extract(epoch FROM completed_at - started_at)::double precision AS duration_seconds,
        row_number() OVER (PARTITION BY job_name ORDER BY started_at DESC) AS recency
    FROM airflow_jobmon.history
    WHERE NOT drill
) numbered
WHERE recency <= 10;
COMMENT ON VIEW airflow_jobmon.recent_executions IS 'The ten newest runs of each job';

CREATE OR REPLACE VIEW airflow_jobmon.job_health AS
SELECT
    job_name,
    CASE WHEN checked_at > clock_timestamp() - interval '2 hours' THEN health ELSE 'unknown' END AS health,
    checked_at,
    (verdict #>> '{last_run,started_at}')::timestamptz AS last_run_started_at,
    verdict #>> '{last_run,status}' AS last_run_status,
    extract(epoch FROM clock_timestamp() - (verdict #>> '{last_run,started_at}')::timestamptz) / 3600
        AS hours_since_last_run,
    due_at AS next_due_at,
    (verdict ->> 'consecutive_failures')::integer AS consecutive_failures,
    (verdict ->> 'success_rate')::double precision AS success_rate_percent,
    (SELECT string_agg(found ->> 'message', '; ' ORDER BY place)
        FROM jsonb_array_elements(verdict -> 'findings') WITH ORDINALITY AS listed (found, place)) AS problems
FROM airflow_jobmon.job_state;
COMMENT ON VIEW airflow_jobmon.job_health IS
    'The stored verdict on each job; unknown where it is older than two hours, since then nobody is watching';

CREATE OR REPLACE VIEW airflow_jobmon.success_rate AS
SELECT
    job_name,
    count(*) AS total_runs,
    count(*) FILTER (WHERE status = 'success') AS successful_runs,
    count(*) FILTER (WHERE status = 'failed') AS failed_runs,
    round(100.0 * count(*) FILTER (WHERE status = 'success')
        / nullif(count(*) FILTER (WHERE status IN ('success', 'failed')), 0), 2) AS success_rate_percent
FROM airflow_jobmon.history
WHERE started_at > now() - interval '30 days' AND NOT drill
GROUP BY job_name;
COMMENT ON VIEW airflow_jobmon.success_rate IS
    'Successes over finished runs, last 30 days; should stay above 95';

CREATE OR REPLACE VIEW airflow_jobmon.failed_jobs AS
SELECT id, job_name, started_at, completed_at,
    extract(epoch FROM completed_at - started_at)::double precision AS duration_seconds, error_message
FROM airflow_jobmon.history
WHERE started_at > now() - interval '7 days' AND status = 'failed' AND NOT drill;
COMMENT ON VIEW airflow_jobmon.failed_jobs IS 'Failed runs of the last 7 days';

CREATE OR REPLACE VIEW airflow_jobmon.performance_metrics AS
SELECT
    job_name,
    count(*) AS successful_runs,
    avg(seconds) AS avg_duration_seconds,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS p50_duration_seconds,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95_duration_seconds,
    min(seconds) AS min_duration_seconds,
    max(seconds) AS max_duration_seconds,
    round(avg(records_updated), 1) AS avg_records_updated,
    sum(records_updated) AS total_records_updated
FROM (
    SELECT job_name, records_updated, extract(epoch FROM completed_at - started_at)::double precision AS seconds
    FROM airflow_jobmon.history
    WHERE started_at > now() - interval '30 days' AND status = 'success' AND NOT drill
) successes
GROUP BY job_name;
COMMENT ON VIEW airflow_jobmon.performance_metrics IS 'Durations and records of successful runs, last 30 days';

CREATE OR REPLACE VIEW airflow_jobmon.daily_metrics AS
SELECT
    job_name,
    (started_at AT TIME ZONE 'UTC')::date AS date,
    count(*) AS total_runs,
    count(*) FILTER (WHERE status = 'success') AS successful_runs,
    count(*) FILTER (WHERE status = 'failed') AS failed_runs,
    round(100.0 * count(*) FILTER (WHERE status = 'success')
        / nullif(count(*) FILTER (WHERE status IN ('success', 'failed')), 0), 2) AS success_rate_percent,
    avg(extract(epoch FROM completed_at - started_at)::double precision) FILTER (WHERE status = 'success')
        AS avg_duration_seconds,
    max(extract(epoch FROM completed_at - started_at)::double precision) FILTER (WHERE status = 'success')
        AS max_duration_seconds,
    sum(records_updated) FILTER (WHERE status = 'success') AS records_updated
FROM airflow_jobmon.history
WHERE NOT drill
GROUP BY job_name, (started_at AT TIME ZONE 'UTC')::date;
COMMENT ON VIEW airflow_jobmon.daily_metrics IS 'Each job and UTC day on which it started; durations of successes';
