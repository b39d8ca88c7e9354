-- The gauges that Prometheus scrapes.

-- name: job_gauges
-- One row per watched job, from what was stored.
SELECT job_name,
    CASE WHEN fresh AND full_fresh
        THEN array_position(ARRAY['ok', 'unknown', 'warning', 'critical'], health) - 1 ELSE 1 END::float8,
    extract(epoch FROM (verdict #>> '{last_run,started_at}')::timestamptz)::float8,
    extract(epoch FROM last_success_at)::float8,
    (verdict #>> '{last_run,duration_seconds}')::float8,
    (verdict #>> '{last_run,records_updated}')::float8,
    (verdict ->> 'success_rate')::float8 / 100,
    (verdict ->> 'consecutive_failures')::float8,
    extract(epoch FROM due_at)::float8,
    duration_p50, duration_p95,
    window_succeeded::float8, (window_finished - window_succeeded)::float8
FROM airflow_jobmon.stored_verdicts
ORDER BY job_name

-- name: incident_gauges
SELECT job_name, kind, severity FROM airflow_jobmon.incidents WHERE resolved_at IS NULL ORDER BY job_name, kind

-- name: delivery_gauges
-- Deliveries of the alerts of the last 24 hours, and all that is pending, by channel and state; how long those that
-- arrived took.
SELECT d.channel, d.state, count(*)::float8,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM d.sent_at - a.created_at)::float8),
    percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM d.sent_at - a.created_at)::float8)
FROM airflow_jobmon.deliveries d
JOIN airflow_jobmon.alerts a ON a.id = d.alert_id
WHERE a.created_at > clock_timestamp() - interval '24 hours' OR d.state = 'pending'
GROUP BY d.channel, d.state
ORDER BY d.channel, d.state

-- name: watch_gauges
-- Watchers alive, the youngest heartbeat's age, how far evaluation is behind, and when the last full check was.
SELECT
    (SELECT count(*)::float8 FROM airflow_jobmon.watchers WHERE seen_at > clock_timestamp() - interval '1 minute'),
    (SELECT extract(epoch FROM clock_timestamp() - max(seen_at))::float8 FROM airflow_jobmon.watchers),
    greatest(0, extract(epoch FROM clock_timestamp() - least(
        (SELECT min(at) FROM airflow_jobmon.events), (SELECT min(judge_at) FROM airflow_jobmon.job_state))))::float8,
    (SELECT extract(epoch FROM clock_timestamp() - checked_at)::float8 FROM airflow_jobmon.full_checks)
