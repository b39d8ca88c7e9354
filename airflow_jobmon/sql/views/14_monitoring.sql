-- Views for people and dashboards: plain SQL over `history` and the stored health, without drills; times in the time zone
-- of the session, units in the names of the columns.

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

-- The stored health of each monitored job. fresh: it was evaluated in the last two hours. full_fresh: all jobs were
-- checked in the last two hours; a check of one job says nothing about the others. awaited: not evaluated since, but
-- registered or changed so recently that it need not have been. An unregistered job that was not evaluated in the last
-- two hours, although all jobs were checked, is left out: it is gone from the log, or ignored.
CREATE OR REPLACE VIEW airflow_jobmon.stored_verdicts AS
SELECT st.job_name, st.health, st.verdict, st.checked_at, st.last_success_at, st.due_at,
    st.duration_p50, st.duration_p95, st.window_succeeded, st.window_finished,
    news.fresh, full_check.checked_at AS all_checked_at, full_check.fresh AS full_fresh,
    NOT news.fresh AND coalesce(greatest(st.first_seen_at, j.updated_at) > clock_timestamp() - interval '2 hours', false)
        AS awaited
FROM airflow_jobmon.job_state st
CROSS JOIN LATERAL (
    SELECT coalesce(st.checked_at > clock_timestamp() - interval '2 hours', false) AS fresh) news
CROSS JOIN (
    SELECT checked_at, coalesce(checked_at > clock_timestamp() - interval '2 hours', false) AS fresh
    FROM airflow_jobmon.full_checks) full_check
LEFT JOIN airflow_jobmon.jobs j ON j.name = st.job_name
WHERE coalesce((j.config ->> 'enabled')::boolean, true)
    AND (news.fresh OR j.name IS NOT NULL OR NOT full_check.fresh);

CREATE OR REPLACE VIEW airflow_jobmon.job_health AS
SELECT
    job_name,
    CASE WHEN fresh THEN health ELSE 'unknown' END AS health,
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
FROM airflow_jobmon.stored_verdicts;
COMMENT ON VIEW airflow_jobmon.job_health IS
    'The health of each monitored job; unknown if the last evaluation is older than two hours';

-- Exact to the microsecond: the day in which the window begins is counted from the log, later days are read if sealed.
CREATE OR REPLACE VIEW airflow_jobmon.success_rate AS
SELECT
    job_name,
    sum(total_runs)::bigint AS total_runs,
    sum(successful_runs)::bigint AS successful_runs,
    sum(failed_runs)::bigint AS failed_runs,
    round(100.0 * sum(successful_runs) / nullif(sum(successful_runs + failed_runs), 0), 2) AS success_rate_percent
FROM (
    SELECT job_name, total_runs, successful_runs, failed_runs
    FROM airflow_jobmon.sealed_days
    WHERE day > airflow_jobmon.day_of(now() - interval '30 days')
    UNION ALL
    SELECT job_name, 1, CASE status WHEN 'success' THEN 1 ELSE 0 END, CASE status WHEN 'failed' THEN 1 ELSE 0 END
    FROM airflow_jobmon.unsealed_runs
    WHERE started_at > now() - interval '30 days' AND day > airflow_jobmon.day_of(now() - interval '30 days')
    UNION ALL
    SELECT job_name, 1, CASE status WHEN 'success' THEN 1 ELSE 0 END, CASE status WHEN 'failed' THEN 1 ELSE 0 END
    FROM airflow_jobmon.history
    WHERE started_at > now() - interval '30 days' AND NOT drill
        AND started_at < airflow_jobmon.day_start(airflow_jobmon.day_of(now() - interval '30 days') + 1)
) counted
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
    day AS date,
    total_runs::bigint AS total_runs,
    successful_runs::bigint AS successful_runs,
    failed_runs::bigint AS failed_runs,
    round(100.0 * successful_runs / nullif(successful_runs + failed_runs, 0), 2) AS success_rate_percent,
    duration_sum / nullif(timed_runs, 0) AS avg_duration_seconds,
    duration_max AS max_duration_seconds,
    records_sum AS records_updated
FROM airflow_jobmon.days;
COMMENT ON VIEW airflow_jobmon.daily_metrics IS 'Each job and UTC day on which it started; durations of successes';

-- Further views for the named queries; see psql/queries.sql.

CREATE OR REPLACE VIEW airflow_jobmon.weekly_review AS
SELECT
    job_name,
    week,
    count(*) AS total_runs,
    count(*) FILTER (WHERE status = 'success') AS successful_runs,
    count(*) FILTER (WHERE status = 'failed') AS failed_runs,
    round(100.0 * count(*) FILTER (WHERE status = 'success')
        / nullif(count(*) FILTER (WHERE status IN ('success', 'failed')), 0), 2) AS success_rate_percent,
    avg(seconds) FILTER (WHERE status = 'success') AS avg_duration_seconds,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE status = 'success') AS p95_duration_seconds,
    max(seconds) FILTER (WHERE status = 'success') AS max_duration_seconds,
    round(sum(records_updated) FILTER (WHERE status = 'success') / 7, 1) AS records_updated_per_day
FROM (
    SELECT job_name, status, records_updated,
        CASE WHEN started_at > now() - interval '7 days' THEN 'last 7 days' ELSE 'the 7 before' END AS week,
        extract(epoch FROM completed_at - started_at)::double precision AS seconds
    FROM airflow_jobmon.history
    WHERE started_at > now() - interval '14 days' AND NOT drill
) fortnight
GROUP BY job_name, week;
COMMENT ON VIEW airflow_jobmon.weekly_review IS
    'Each job in the last 7 days and in the 7 before; durations and records of successes';

CREATE OR REPLACE VIEW airflow_jobmon.execution_frequency AS
SELECT
    job_name,
    count(*) AS total_runs,
    avg(hours) AS avg_hours_between_starts,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY hours) AS p50_hours_between_starts,
    min(hours) AS min_hours_between_starts,
    max(hours) AS max_hours_between_starts,
    extract(epoch FROM now() - max(started_at))::double precision / 3600 AS hours_since_last_run
FROM (
    SELECT job_name, started_at,
        extract(epoch FROM started_at - lag(started_at) OVER (PARTITION BY job_name ORDER BY started_at))
            ::double precision / 3600 AS hours
    FROM airflow_jobmon.history
    WHERE started_at > now() - interval '30 days' AND NOT drill
) starts
GROUP BY job_name;
COMMENT ON VIEW airflow_jobmon.execution_frequency IS 'Hours between the starts of each job, last 30 days';

CREATE OR REPLACE VIEW airflow_jobmon.longest_runs AS
SELECT id, job_name, started_at, completed_at, duration_seconds, records_updated, status, error_message
FROM (
    SELECT *, row_number() OVER (PARTITION BY job_name ORDER BY duration_seconds DESC, started_at DESC) AS place
    FROM (
        SELECT *, extract(epoch FROM completed_at - started_at)::double precision AS duration_seconds
        FROM airflow_jobmon.history
        WHERE started_at > now() - interval '30 days' AND NOT drill AND status IN ('success', 'failed')
            AND completed_at IS NOT NULL
    ) finished
) numbered
WHERE place <= 10;
COMMENT ON VIEW airflow_jobmon.longest_runs IS 'The ten longest finished runs of each job, last 30 days';

-- Groups error texts as incidents do: without numbers and ids.
CREATE OR REPLACE VIEW airflow_jobmon.common_errors AS
SELECT job_name, error, count(*) AS failed_runs, min(started_at) AS first_failed_at, max(started_at) AS last_failed_at
FROM (
    SELECT job_name, started_at,
        regexp_replace(
            regexp_replace(
                left(coalesce(error_message, ''), 300),
                '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|0x[0-9a-f]+|\m[0-9a-f]{12,}\M', '#', 'gi'),
            '\d+(\.\d+)?', '#', 'g') AS error
    FROM airflow_jobmon.history
    WHERE started_at > now() - interval '30 days' AND NOT drill AND status = 'failed'
) failures
GROUP BY job_name, error;
COMMENT ON VIEW airflow_jobmon.common_errors IS
    'Each error text of a job, without numbers and ids, how often and when it occurred; last 30 days';

CREATE OR REPLACE VIEW airflow_jobmon.open_incidents AS
SELECT id, job_name, kind, severity, opened_at,
    extract(epoch FROM clock_timestamp() - opened_at)::double precision / 3600 AS hours_open,
    occurrences, message, told_at, acknowledged_at, acknowledged_by, acknowledged_note
FROM airflow_jobmon.incidents
WHERE resolved_at IS NULL;
COMMENT ON VIEW airflow_jobmon.open_incidents IS 'Incidents that are not resolved; told_at is null if no one was notified';

CREATE OR REPLACE VIEW airflow_jobmon.undelivered_alerts AS
SELECT alert.id, alert.created_at, alert.job_name, alert.kind, alert.event, alert.severity,
    delivery.channel, delivery.state, delivery.attempts,
    CASE WHEN delivery.state = 'pending' THEN delivery.next_attempt_at END AS next_attempt_at, delivery.last_error
FROM airflow_jobmon.deliveries delivery
JOIN airflow_jobmon.alerts alert ON alert.id = delivery.alert_id
WHERE delivery.state = 'pending'
    OR (delivery.state = 'dead' AND alert.created_at > now() - interval '30 days');
COMMENT ON VIEW airflow_jobmon.undelivered_alerts IS
    'Alerts that a channel has not accepted: under way (pending), or refused for good in the last 30 days (dead)';
