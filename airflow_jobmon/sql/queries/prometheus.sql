-- The gauges that Prometheus scrapes; columns are called like their metrics where there is one for each.

-- name: job_gauges
-- One row per watched job, from its stored health.
SELECT job_name,
    CASE WHEN fresh AND full_fresh
        THEN array_position(ARRAY['ok', 'unknown', 'warning', 'critical'], health) - 1 ELSE 1 END::float8 AS jobmon_job_health,
    extract(epoch FROM (verdict #>> '{last_run,started_at}')::timestamptz)::float8
        AS jobmon_job_last_run_timestamp_seconds,
    extract(epoch FROM last_success_at)::float8 AS jobmon_job_last_success_timestamp_seconds,
    (verdict #>> '{last_run,duration_seconds}')::float8 AS jobmon_job_last_run_duration_seconds,
    (verdict #>> '{last_run,records_updated}')::float8 AS jobmon_job_last_run_records,
    (verdict ->> 'success_rate')::float8 / 100 AS jobmon_job_success_ratio,
    (verdict ->> 'consecutive_failures')::float8 AS jobmon_job_consecutive_failures,
    extract(epoch FROM due_at)::float8 AS jobmon_job_next_due_timestamp_seconds,
    duration_p50 AS jobmon_job_duration_median_seconds, duration_p95 AS jobmon_job_duration_p95_seconds,
    window_succeeded::float8 AS success, (window_finished - window_succeeded)::float8 AS failed
FROM airflow_jobmon.stored_verdicts
ORDER BY job_name

-- name: incident_gauges
-- The open incidents.
SELECT job_name, kind, severity FROM airflow_jobmon.incidents WHERE resolved_at IS NULL ORDER BY job_name, kind

-- name: delivery_gauges
-- The deliveries of the last 24 hours' alerts and all pending ones, by channel and state, and how long they took.
SELECT d.channel, d.state, count(*)::float8 AS deliveries,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM d.sent_at - a.created_at)::float8) AS median,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM d.sent_at - a.created_at)::float8) AS p95
FROM airflow_jobmon.deliveries d
JOIN airflow_jobmon.alerts a ON a.id = d.alert_id
WHERE a.created_at > clock_timestamp() - interval '24 hours' OR d.state = 'pending'
GROUP BY d.channel, d.state
ORDER BY d.channel, d.state

-- name: watch_gauges
-- The live watchers, the age of the newest heartbeat, how far evaluation is behind, and the age of the last full check.
SELECT
    (SELECT count(*)::float8 FROM airflow_jobmon.watchers WHERE seen_at > clock_timestamp() - interval '1 minute')
        AS jobmon_watchers,
    (SELECT extract(epoch FROM clock_timestamp() - max(seen_at))::float8 FROM airflow_jobmon.watchers)
        AS jobmon_watcher_heartbeat_age_seconds,
    greatest(0, extract(epoch FROM clock_timestamp() - least(
        (SELECT min(at) FROM airflow_jobmon.events), (SELECT min(judge_at) FROM airflow_jobmon.job_state))))::float8
        AS jobmon_sweep_lag_seconds,
    (SELECT extract(epoch FROM clock_timestamp() - checked_at)::float8 FROM airflow_jobmon.full_checks)
        AS jobmon_check_age_seconds
