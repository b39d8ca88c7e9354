-- The history of one incident.

-- name: incident
SELECT id, job_name, kind, severity, opened_at, detected_at, resolved_at, occurrences, message, error_message, told_at,
    silenced_at, acknowledged_at, acknowledged_by, acknowledged_note
FROM airflow_jobmon.incidents
WHERE id = %(id)s

-- name: alerts
-- One row per alert and channel; an alert without a channel has one row.
SELECT alert.created_at, alert.event, alert.details ->> 'message' AS message, delivery.channel, delivery.state, delivery.sent_at,
    delivery.attempts, delivery.last_error
FROM airflow_jobmon.alerts AS alert
LEFT JOIN airflow_jobmon.deliveries AS delivery ON delivery.alert_id = alert.id
WHERE alert.incident_id = %(id)s
ORDER BY alert.id, delivery.channel

-- name: silences
-- All silences that were in force while the incident was open, whatever their name.
SELECT name, starts_at, ends_at, reason, silenced_by, lifted_by
FROM airflow_jobmon.silences
WHERE ends_at > %(since)s AND starts_at < coalesce(%(until)s, clock_timestamp())
ORDER BY starts_at

-- name: failures
-- The newest failed runs that were counted.
SELECT run_id, started_at, at FROM airflow_jobmon.occurrences
WHERE incident_id = %(id)s
ORDER BY started_at DESC
LIMIT %(limit)s
