-- What the reports say of runs, incidents and deliveries; drills left out everywhere.

-- name: failures
-- Each job with failed runs that ended in the period, and when it recovered after the last of them.
SELECT failed.job_name, failed.count, failed.last_at, left(failed.last_error, 2000),
    (SELECT min(coalesce(r.completed_at, r.started_at))
        FROM airflow_jobmon.runs r
        WHERE r.job_name = failed.job_name AND NOT r.drill AND r.status = 'success'
            AND r.started_at >= failed.last_start AND coalesce(r.completed_at, r.started_at) <= %(at)s)
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
-- Runs that had not come by their deadline, where that deadline or its end was in the period; when one came after all,
-- and when it was over: also without one, where the job was disabled or another schedule written down.
SELECT i.job_name, i.opened_at,
    (SELECT min(r.started_at) FROM airflow_jobmon.runs r
        WHERE r.job_name = i.job_name AND NOT r.drill AND r.started_at > i.opened_at AND r.started_at <= i.resolved_at
            AND i.resolved_at <= %(at)s),
    CASE WHEN i.resolved_at <= %(at)s THEN i.resolved_at END
FROM airflow_jobmon.incidents i
WHERE i.kind = 'missed' AND i.opened_at <= %(at)s
    AND (i.resolved_at IS NULL OR i.resolved_at > %(at)s - %(period)s)
ORDER BY i.opened_at, i.job_name

-- name: open_incidents
SELECT i.job_name, i.kind, i.severity, i.opened_at, i.message, i.acknowledged_by
FROM airflow_jobmon.incidents i
WHERE i.resolved_at IS NULL
ORDER BY i.opened_at, i.job_name, i.kind

-- name: silences
SELECT name, ends_at, reason, silenced_by FROM airflow_jobmon.silences WHERE ends_at > clock_timestamp()

-- name: undelivered
SELECT d.channel, count(*)::integer, (array_agg(d.last_error ORDER BY d.alert_id DESC))[1]
FROM airflow_jobmon.deliveries d
JOIN airflow_jobmon.alerts a ON a.id = d.alert_id
WHERE a.created_at > %(at)s - %(period)s
    AND (d.state = 'dead' OR (d.state = 'pending' AND a.created_at < clock_timestamp() - interval '10 minutes'))
GROUP BY d.channel
ORDER BY d.channel

-- name: watched
SELECT EXISTS (SELECT FROM airflow_jobmon.watchers WHERE seen_at > clock_timestamp() - interval '1 minute')

-- name: spans
-- Each job's runs by slices of a day backwards from `at`, and by the two weeks: slice 0 to 6 are the last seven days,
-- slice -1 is the last week and -2 the one before.
WITH run AS (
    SELECT r.job_name, r.status,
        floor(extract(epoch FROM %(at)s - r.started_at) / 86400)::integer AS slice,
        CASE WHEN r.status = 'success' THEN extract(epoch FROM r.completed_at - r.started_at)::float8 END AS seconds,
        CASE WHEN r.status = 'success' THEN r.records_updated END AS records
    FROM airflow_jobmon.history r
    WHERE NOT r.drill AND r.status IN ('success', 'failed')
        AND r.started_at > %(at)s - interval '14 days' AND r.started_at <= %(at)s
)
SELECT job_name, CASE WHEN grouping(slice) = 0 THEN slice WHEN slice_week = 0 THEN -1 ELSE -2 END,
    count(*)::integer, (count(*) FILTER (WHERE status = 'success'))::integer,
    avg(seconds), percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds), max(seconds), sum(records)::bigint
FROM (SELECT run.*, least(slice / 7, 1) AS slice_week FROM run) counted
WHERE slice BETWEEN 0 AND 13
GROUP BY GROUPING SETS ((job_name, slice_week), (job_name, slice_week, slice))
HAVING grouping(slice) = 1 OR slice < 7

-- name: arrivals
-- How the alerts of the week arrived, by channel; drills are none of them.
SELECT d.channel,
    (count(*) FILTER (WHERE d.state = 'sent'))::integer,
    (count(*) FILTER (WHERE d.state = 'dead'))::integer,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM d.sent_at - a.created_at)::float8)
        FILTER (WHERE d.state = 'sent')
FROM airflow_jobmon.deliveries d
JOIN airflow_jobmon.alerts a ON a.id = d.alert_id
WHERE a.event <> 'test' AND a.created_at > %(at)s - interval '7 days' AND a.created_at <= %(at)s
GROUP BY d.channel
ORDER BY d.channel

-- name: days
-- What the charts show: each UTC day of each job.
SELECT job_name, date, success_rate_percent::float8, avg_duration_seconds, records_updated::float8
FROM airflow_jobmon.daily_metrics
WHERE date > %(since)s AND date <= %(until)s
