-- What the page shows besides the stored health and the days.

-- name: incidents
-- Open incidents, worst first, then newest; of one job, if given, followed by its resolved ones.
SELECT id, job_name, kind, severity, opened_at, resolved_at, occurrences, left(message, 2000) AS message,
    left(error_message, 2000) AS error_message, told_at, silenced_at, acknowledged_at, acknowledged_by, acknowledged_note
FROM airflow_jobmon.incidents
WHERE (%(job_name)s::text IS NULL AND resolved_at IS NULL) OR job_name = %(job_name)s
ORDER BY resolved_at IS NOT NULL, (resolved_at IS NULL AND severity = 'critical') DESC, opened_at DESC, id DESC
LIMIT %(limit)s

-- name: finished
-- The finished runs of each given job by day, from `since` on.
SELECT j.name, d.day, d.successful_runs, d.failed_runs
FROM unnest(%(names)s::text[]) AS j (name),
    LATERAL (
        SELECT s.day, s.successful_runs, s.failed_runs
        FROM airflow_jobmon.sealed_days s
        WHERE s.job_name = j.name AND s.day >= %(since)s
        UNION ALL
        SELECT c.day, c.successful_runs, c.failed_runs
        FROM airflow_jobmon.count_days(j.name, airflow_jobmon.day_start(%(since)s), 'infinity', true) c
    ) d
WHERE d.successful_runs + d.failed_runs > 0

-- name: latest_deliveries
-- The newest delivery of each incident on each channel.
SELECT DISTINCT ON (alert.incident_id, delivery.channel)
    alert.incident_id, delivery.channel, delivery.state, delivery.sent_at, left(delivery.last_error, 300) AS last_error
FROM airflow_jobmon.alerts AS alert
JOIN airflow_jobmon.deliveries AS delivery ON delivery.alert_id = alert.id
WHERE alert.incident_id = ANY (%(ids)s)
ORDER BY alert.incident_id, delivery.channel, alert.id DESC

-- name: monitor_status
-- Live watchers, the last heartbeat of any, and the last check of all jobs.
SELECT
    (SELECT count(*)::integer FROM airflow_jobmon.watchers WHERE seen_at > clock_timestamp() - interval '1 minute')
        AS watchers,
    (SELECT max(seen_at) FROM airflow_jobmon.watchers) AS seen_at,
    (SELECT checked_at FROM airflow_jobmon.full_checks) AS checked_at

-- name: names
-- The names of all jobs that were evaluated or registered.
SELECT job_name FROM airflow_jobmon.job_state UNION SELECT name FROM airflow_jobmon.jobs

-- name: registration
-- The registry entry of one job.
SELECT source, config FROM airflow_jobmon.jobs WHERE name = %(job_name)s

-- name: recent_runs
-- The newest runs of one job, archived ones included.
SELECT id, job_name, started_at, completed_at, status, records_updated,
    left(error_message, 2000) AS error_message
FROM airflow_jobmon.history
WHERE job_name = %(job_name)s AND NOT drill
ORDER BY started_at DESC
LIMIT %(limit)s

-- name: recent_alerts
-- One row per alert and channel; an alert that had no channel has one row.
SELECT alert.id, alert.created_at, alert.kind, alert.event, delivery.channel, delivery.state, delivery.sent_at,
    left(delivery.last_error, 300) AS last_error
FROM (
    SELECT id, created_at, kind, event FROM airflow_jobmon.alerts
    WHERE job_name = %(job_name)s
    ORDER BY id DESC
    LIMIT %(limit)s
) AS alert
LEFT JOIN airflow_jobmon.deliveries AS delivery ON delivery.alert_id = alert.id
ORDER BY alert.id DESC, delivery.channel
