-- Retention of our own tables, one batch a statement.

-- name: abandoned
-- On a channel without a deliverer, such as one that was removed from the configuration.
UPDATE airflow_jobmon.deliveries SET state = 'dead', last_error = 'no deliverer has served this channel for seven days'
WHERE (alert_id, channel) IN (
    SELECT d.alert_id, d.channel FROM airflow_jobmon.deliveries d
    JOIN airflow_jobmon.alerts a ON a.id = d.alert_id
    WHERE d.state = 'pending' AND d.attempts = 0 AND a.created_at < clock_timestamp() - interval '7 days'
        AND NOT EXISTS (
            SELECT FROM airflow_jobmon.channels c
            WHERE c.name = d.channel
                AND greatest(c.last_sent_at, c.last_error_at) > clock_timestamp() - interval '7 days')
    LIMIT %(batch)s
)

-- name: alerts
-- Alerts with their deliveries, but never an alert with a pending delivery.
DELETE FROM airflow_jobmon.alerts WHERE id IN (
    SELECT a.id FROM airflow_jobmon.alerts a
    WHERE a.created_at < clock_timestamp() - %(keep)s
        AND NOT EXISTS (SELECT FROM airflow_jobmon.deliveries d WHERE d.alert_id = a.id AND d.state = 'pending')
    ORDER BY a.created_at LIMIT %(batch)s
)

-- name: incidents
DELETE FROM airflow_jobmon.incidents WHERE id IN (
    SELECT i.id FROM airflow_jobmon.incidents i
    WHERE i.resolved_at < clock_timestamp() - %(keep)s AND i.opened_at < clock_timestamp() - %(keep)s
        AND NOT EXISTS (SELECT FROM airflow_jobmon.alerts a WHERE a.incident_id = i.id)
    ORDER BY i.opened_at LIMIT %(batch)s
)

-- name: occurrences
DELETE FROM airflow_jobmon.occurrences WHERE (job_name, run_id, started_at) IN (
    SELECT o.job_name, o.run_id, o.started_at FROM airflow_jobmon.occurrences o
    LEFT JOIN airflow_jobmon.incidents i ON i.id = o.incident_id
    WHERE o.at < clock_timestamp() - %(keep)s AND (i.id IS NULL OR i.resolved_at IS NOT NULL)
    ORDER BY o.at LIMIT %(batch)s
)

-- name: messages
DELETE FROM airflow_jobmon.messages WHERE id IN (
    SELECT m.id FROM airflow_jobmon.messages m
    WHERE m.created_at < clock_timestamp() - %(keep)s
        AND NOT EXISTS (SELECT FROM airflow_jobmon.deliveries d WHERE d.message_id = m.id)
    ORDER BY m.created_at LIMIT %(batch)s
)

-- name: reports
DELETE FROM airflow_jobmon.reports WHERE id IN (
    SELECT r.id FROM airflow_jobmon.reports r
    WHERE r.created_at < clock_timestamp() - %(keep)s
        AND NOT EXISTS (SELECT FROM airflow_jobmon.messages m WHERE m.report_id = r.id)
    ORDER BY r.created_at LIMIT %(batch)s
)

-- name: silences
DELETE FROM airflow_jobmon.silences WHERE id IN (
    SELECT s.id FROM airflow_jobmon.silences s
    WHERE s.ends_at < clock_timestamp() - %(keep)s
    ORDER BY s.ends_at LIMIT %(batch)s
)

-- name: drills
-- Drills with the records of what they left behind, but never a drill that has not ended.
DELETE FROM airflow_jobmon.drills WHERE id IN (
    SELECT d.id FROM airflow_jobmon.drills d
    WHERE d.began_at < clock_timestamp() - %(keep)s AND d.ended_at IS NOT NULL
    ORDER BY d.began_at LIMIT %(batch)s
)
