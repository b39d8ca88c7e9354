-- Incidents, alerts and deliveries for the command line.

-- name: alerts
-- One row per alert and channel; an alert that had no channel when it was created has one row.
SELECT alert.id, alert.created_at, alert.job_name, alert.kind, alert.event, alert.severity,
       delivery.channel, delivery.state, delivery.attempts,
       CASE WHEN delivery.state = 'pending' THEN delivery.next_attempt_at END AS next_attempt_at,
       delivery.sent_at, delivery.last_error
FROM airflow_jobmon.alerts AS alert
LEFT JOIN airflow_jobmon.deliveries AS delivery ON delivery.alert_id = alert.id
WHERE (%(job)s::text IS NULL OR alert.job_name = %(job)s)
  AND (%(state)s::text IS NULL OR delivery.state = %(state)s)
ORDER BY alert.id DESC, delivery.channel
LIMIT %(limit)s

-- name: retry_dead
-- Due now, with attempts counted from 0. A message that no recipient received is given up, so that its alerts are
-- regrouped; one that some recipients received is opened again unchanged, for the others.
WITH dead AS (
    SELECT alert_id, channel, message_id
    FROM airflow_jobmon.deliveries
    WHERE state = 'dead' AND (%(job)s::text IS NULL OR job_name = %(job)s)
    FOR UPDATE
), reopened AS (
    UPDATE airflow_jobmon.messages AS message
    SET state = 'open', attempts = 0, next_attempt_at = clock_timestamp(), leased_by = NULL, leased_until = NULL
    WHERE message.id IN (SELECT message_id FROM dead) AND message.state = 'dead' AND message.recipients IS NOT NULL
    RETURNING message.id
), retried AS (
    UPDATE airflow_jobmon.deliveries AS delivery
    SET state = 'pending', attempts = 0, next_attempt_at = clock_timestamp(),
        message_id = (SELECT id FROM reopened WHERE id = delivery.message_id)
    FROM dead
    WHERE delivery.alert_id = dead.alert_id AND delivery.channel = dead.channel
    RETURNING delivery.alert_id, delivery.channel
)
SELECT alert_id, channel FROM retried

-- name: retry_resolutions
-- A channel that is notified of an incident after all is notified of its resolution, too.
INSERT INTO airflow_jobmon.deliveries (alert_id, channel, job_name)
SELECT DISTINCT over.id, given.channel, over.job_name
FROM unnest(%(alert_ids)s::bigint[], %(channels)s::text[]) AS given (alert_id, channel)
JOIN airflow_jobmon.alerts AS opened ON opened.id = given.alert_id
JOIN airflow_jobmon.alerts AS over ON over.incident_id = opened.incident_id AND over.event = 'resolved' AND over.id > opened.id
ON CONFLICT (alert_id, channel) DO UPDATE SET state = 'pending', next_attempt_at = clock_timestamp(), last_error = NULL
WHERE deliveries.state = 'silenced'

-- name: reset_channels
-- Send at once; and if the channel dies again, notify the other channels again.
UPDATE airflow_jobmon.channels SET dead_told_at = NULL, paused_until = NULL, failures = 0 WHERE name = ANY (%(channels)s)

-- name: wake_watchers
SELECT pg_notify('airflow_jobmon', '')

-- name: incidents
-- Open incidents, or all of them, newest first.
SELECT id, job_name, kind, severity, opened_at, resolved_at, occurrences, acknowledged_by, message, error_message,
    told_at, silenced_at, acknowledged_at
FROM airflow_jobmon.incidents
WHERE (%(job)s::text IS NULL OR job_name = %(job)s)
  AND (%(all)s OR resolved_at IS NULL)
ORDER BY opened_at DESC, id DESC
LIMIT %(limit)s
