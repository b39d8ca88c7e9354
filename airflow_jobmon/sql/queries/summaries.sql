-- Runs, incidents and deliveries for the reports; drills are left out everywhere.

-- name: failures
-- Each job with failed runs that ended in the period, and when it recovered after the last of them.
SELECT failed.job_name, failed.count, failed.last_at, left(failed.last_error, 2000) AS last_error,
    (SELECT min(coalesce(r.completed_at, r.started_at))
        FROM airflow_jobmon.runs r
        WHERE r.job_name = failed.job_name AND NOT r.drill AND r.status = 'success'
            AND r.started_at >= failed.last_start AND coalesce(r.completed_at, r.started_at) <= %(at)s) AS recovered_at
FROM (
    SELECT r.job_name, count(*)::integer AS count, max(coalesce(r.completed_at, r.started_at)) AS last_at,
        max(r.started_at) AS last_start,
        (array_agg(r.error_message ORDER BY r.started_at DESC))[1] AS last_error
    FROM airflow_jobmon.runs r
    WHERE r.status = 'failed' AND NOT r.drill
        AND r.started_at > %(at)s - %(period)s - interval '2 days' AND r.started_at <= %(at)s
        AND coalesce(r.completed_at, r.started_at) > %(at)s - %(period)s
        AND coalesce(r.completed_at, r.started_at) <= %(at)s
    GROUP BY r.job_name
) failed
ORDER BY failed.last_at DESC, failed.job_name

-- name: missed
-- Missed runs of the period: when a run started after all, and when the incident was resolved, which happens without a
-- run if the job was disabled or got another schedule.
SELECT i.job_name, i.opened_at AS due_at,
    (SELECT min(r.started_at) FROM airflow_jobmon.runs r
        WHERE r.job_name = i.job_name AND NOT r.drill AND r.started_at > i.opened_at AND r.started_at <= i.resolved_at
            AND i.resolved_at <= %(at)s) AS came_at,
    CASE WHEN i.resolved_at <= %(at)s THEN i.resolved_at END AS over_at
FROM airflow_jobmon.incidents i
WHERE i.kind = 'missed' AND i.opened_at <= %(at)s
    AND (i.resolved_at IS NULL OR i.resolved_at > %(at)s - %(period)s)
ORDER BY i.opened_at, i.job_name

-- name: open_incidents
-- Open incidents, the longest open first.
SELECT i.job_name, i.kind, i.severity, i.opened_at AS since, i.message, i.acknowledged_by
FROM airflow_jobmon.incidents i
WHERE i.resolved_at IS NULL
ORDER BY i.opened_at, i.job_name, i.kind

-- name: silences
-- Active silences.
SELECT name, ends_at, reason, silenced_by FROM airflow_jobmon.silences WHERE ends_at > clock_timestamp()

-- name: undelivered
-- By channel, the alerts of the period that are dead or have waited over ten minutes, and the newest error.
SELECT d.channel, count(*)::integer AS alerts, (array_agg(d.last_error ORDER BY d.alert_id DESC))[1] AS error
FROM airflow_jobmon.deliveries d
JOIN airflow_jobmon.alerts a ON a.id = d.alert_id
WHERE a.created_at > %(at)s - %(period)s
    AND (d.state = 'dead' OR (d.state = 'pending' AND a.created_at < clock_timestamp() - interval '10 minutes'))
GROUP BY d.channel
ORDER BY d.channel

-- name: watched
-- Whether a watcher is running.
SELECT EXISTS (SELECT FROM airflow_jobmon.watchers WHERE seen_at > clock_timestamp() - interval '1 minute')

-- name: spans
-- The runs of each job by slices of 24 hours back from `at`, and by week: slices 0 to 6 are the last seven days, slice -1
-- is the last week, and -2 the week before.
WITH run AS (
    SELECT r.job_name, r.status,
        floor(extract(epoch FROM %(at)s - r.started_at) / 86400)::integer AS slice,
        CASE WHEN r.status = 'success' THEN extract(epoch FROM r.completed_at - r.started_at)::float8 END AS seconds,
        CASE WHEN r.status = 'success' THEN r.records_updated END AS records
    FROM airflow_jobmon.history r
    WHERE NOT r.drill AND r.status IN ('success', 'failed')
        AND r.started_at > %(at)s - interval '14 days' AND r.started_at <= %(at)s
)
SELECT job_name, CASE WHEN grouping(slice) = 0 THEN slice WHEN slice_week = 0 THEN -1 ELSE -2 END AS slice,
    count(*)::integer AS finished, (count(*) FILTER (WHERE status = 'success'))::integer AS succeeded,
    avg(seconds) AS avg_duration, percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95_duration,
    max(seconds) AS max_duration, sum(records)::bigint AS records
FROM (SELECT run.*, least(slice / 7, 1) AS slice_week FROM run) counted
WHERE slice BETWEEN 0 AND 13
GROUP BY GROUPING SETS ((job_name, slice_week), (job_name, slice_week, slice))
HAVING grouping(slice) = 1 OR slice < 7

-- name: arrivals
-- The deliveries of the week by channel, test alerts left out.
SELECT d.channel,
    (count(*) FILTER (WHERE d.state = 'sent'))::integer AS sent,
    (count(*) FILTER (WHERE d.state = 'dead'))::integer AS dead,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM d.sent_at - a.created_at)::float8)
        FILTER (WHERE d.state = 'sent') AS p95_seconds
FROM airflow_jobmon.deliveries d
JOIN airflow_jobmon.alerts a ON a.id = d.alert_id
WHERE a.event <> 'test' AND a.created_at > %(at)s - interval '7 days' AND a.created_at <= %(at)s
GROUP BY d.channel
ORDER BY d.channel

-- name: days
-- Each UTC day of each job, for the charts.
SELECT job_name, date, success_rate_percent::float8 AS success_rate, avg_duration_seconds AS avg_duration,
    records_updated::float8 AS records
FROM airflow_jobmon.daily_metrics
WHERE date > %(since)s AND date <= %(until)s
