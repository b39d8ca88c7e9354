-- The monitoring queries. `airflow jobmon query NAME --job JOB` runs one; psql runs the whole file:
--     psql -v job_name=nightly-invoices -f queries.sql "postgresql://..."
-- Without job_name they cover all jobs. For other SQL editors, docs/queries.md has each query as plain SQL.
\if :{?job_name}
\else
\set job_name ''
\endif

-- name: health_check
-- Health Check: each job's health and problems, as last evaluated; unknown if that was over two hours ago.
SELECT job_name, health, last_run_started_at, last_run_status, hours_since_last_run, next_due_at,
    consecutive_failures, success_rate_percent, problems, checked_at
FROM airflow_jobmon.job_health
WHERE (:'job_name' = '' OR job_name = :'job_name')
ORDER BY array_position(ARRAY['critical', 'warning', 'unknown', 'ok'], health), job_name;

-- name: recent_executions
-- Recent Executions: the ten newest runs of each job.
SELECT id, job_name, started_at, completed_at, duration_seconds, records_updated, status, error_message
FROM airflow_jobmon.recent_executions
WHERE (:'job_name' = '' OR job_name = :'job_name')
ORDER BY job_name, started_at DESC;

-- name: success_rate
-- Success Rate: successes over finished runs of the last 30 days, in percent; should stay above 95, ideally 98.
SELECT job_name, total_runs, successful_runs, failed_runs, success_rate_percent,
    100 - success_rate_percent AS error_rate_percent
FROM airflow_jobmon.success_rate
WHERE (:'job_name' = '' OR job_name = :'job_name')
ORDER BY success_rate_percent NULLS LAST, job_name;

-- name: failed_jobs
-- Failed Jobs (last 7 days): each failed run with its error, newest first.
SELECT id, job_name, started_at, completed_at, duration_seconds, error_message
FROM airflow_jobmon.failed_jobs
WHERE (:'job_name' = '' OR job_name = :'job_name')
ORDER BY started_at DESC, job_name;

-- name: performance_metrics
-- Performance Metrics: duration and updated records of the successes of the last 30 days.
SELECT job_name, successful_runs, avg_duration_seconds, p50_duration_seconds, p95_duration_seconds,
    min_duration_seconds, max_duration_seconds, avg_records_updated, total_records_updated
FROM airflow_jobmon.performance_metrics
WHERE (:'job_name' = '' OR job_name = :'job_name')
ORDER BY job_name;

-- name: records_updated_trend
-- Records Updated Trend: records that successes updated per UTC day, last 30 days; zero for days: check the data pipeline.
SELECT job_name, date, successful_runs, records_updated
FROM airflow_jobmon.daily_metrics
WHERE date > (now() AT TIME ZONE 'UTC')::date - 30
    AND (:'job_name' = '' OR job_name = :'job_name')
ORDER BY job_name, date DESC;

-- name: daily_success_rate
-- Daily Success Rate: runs and their success rate per UTC day, last 30 days.
SELECT job_name, date, total_runs, successful_runs, failed_runs, success_rate_percent
FROM airflow_jobmon.daily_metrics
WHERE date > (now() AT TIME ZONE 'UTC')::date - 30
    AND (:'job_name' = '' OR job_name = :'job_name')
ORDER BY job_name, date DESC;

-- name: duration_trend
-- Duration Trend: duration of successes per UTC day, last 30 days; if it rises, check the database.
SELECT job_name, date, successful_runs, avg_duration_seconds, max_duration_seconds
FROM airflow_jobmon.daily_metrics
WHERE date > (now() AT TIME ZONE 'UTC')::date - 30
    AND (:'job_name' = '' OR job_name = :'job_name')
ORDER BY job_name, date DESC;

-- name: weekly_review
-- Weekly Review: each job's last 7 days, and the 7 days before.
SELECT job_name, week, total_runs, successful_runs, failed_runs, success_rate_percent, avg_duration_seconds,
    p95_duration_seconds, max_duration_seconds, records_updated_per_day
FROM airflow_jobmon.weekly_review
WHERE (:'job_name' = '' OR job_name = :'job_name')
ORDER BY job_name, week;

-- name: execution_frequency
-- Execution Frequency: hours between starts in the last 30 days; a daily job should have about 24.
SELECT job_name, total_runs, avg_hours_between_starts, p50_hours_between_starts, min_hours_between_starts,
    max_hours_between_starts, hours_since_last_run
FROM airflow_jobmon.execution_frequency
WHERE (:'job_name' = '' OR job_name = :'job_name')
ORDER BY job_name;

-- name: longest_runs
-- Longest Runs: the ten longest finished runs of each job in the last 30 days.
SELECT id, job_name, started_at, completed_at, duration_seconds, records_updated, status, error_message
FROM airflow_jobmon.longest_runs
WHERE (:'job_name' = '' OR job_name = :'job_name')
ORDER BY job_name, duration_seconds DESC, started_at DESC;

-- name: common_errors
-- Common Errors: error texts of the last 30 days, most frequent first, ignoring numbers and ids; for the runbook.
SELECT job_name, error, failed_runs, first_failed_at, last_failed_at
FROM airflow_jobmon.common_errors
WHERE (:'job_name' = '' OR job_name = :'job_name')
ORDER BY failed_runs DESC, last_failed_at DESC, job_name;

-- name: open_incidents
-- Open Incidents: each open incident, since when, and who acknowledged it.
SELECT id, job_name, kind, severity, opened_at, hours_open, occurrences, message, told_at, acknowledged_at,
    acknowledged_by, acknowledged_note
FROM airflow_jobmon.open_incidents
WHERE (:'job_name' = '' OR job_name = :'job_name')
ORDER BY opened_at, job_name, kind;

-- name: undelivered_alerts
-- Undelivered Alerts: deliveries not accepted yet (pending), or refused for good in the last 30 days (dead).
SELECT id, created_at, job_name, kind, event, severity, channel, state, attempts, next_attempt_at, last_error
FROM airflow_jobmon.undelivered_alerts
WHERE (:'job_name' = '' OR job_name = :'job_name')
ORDER BY created_at DESC, id DESC, channel;
