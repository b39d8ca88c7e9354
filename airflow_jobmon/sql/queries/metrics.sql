-- What /metrics reads, and what is stored for it.

-- name: all_checked
UPDATE airflow_jobmon.full_checks SET checked_at = clock_timestamp()

-- name: refresh_durations
-- Each job's usual durations over the last 30 days, from what was counted of each day.
-- In order of name, as everybody who locks several states does.
WITH usual AS MATERIALIZED (
    SELECT job_name,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_median) AS p50,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_p95) AS p95
    FROM airflow_jobmon.days
    WHERE day > (clock_timestamp() AT TIME ZONE 'UTC')::date - 30 AND duration_median IS NOT NULL
    GROUP BY job_name
), changed AS MATERIALIZED (
    SELECT st.job_name, usual.p50, usual.p95
    FROM airflow_jobmon.job_state st
    JOIN usual ON usual.job_name = st.job_name
    WHERE (st.duration_p50, st.duration_p95) IS DISTINCT FROM (usual.p50, usual.p95)
    ORDER BY st.job_name
    FOR UPDATE OF st
)
UPDATE airflow_jobmon.job_state st
SET duration_p50 = changed.p50, duration_p95 = changed.p95
FROM changed
WHERE st.job_name = changed.job_name

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
-- Watchers alive, the youngest heartbeat's age, how far judging is behind, and since when nobody checked everything.
SELECT
    (SELECT count(*)::float8 FROM airflow_jobmon.watchers WHERE seen_at > clock_timestamp() - interval '1 minute'),
    (SELECT extract(epoch FROM clock_timestamp() - max(seen_at))::float8 FROM airflow_jobmon.watchers),
    greatest(0, extract(epoch FROM clock_timestamp() - least(
        (SELECT min(at) FROM airflow_jobmon.events), (SELECT min(judge_at) FROM airflow_jobmon.job_state))))::float8,
    (SELECT extract(epoch FROM clock_timestamp() - checked_at)::float8 FROM airflow_jobmon.full_checks)
