-- name: recent_runs
SELECT id, job_name, started_at, completed_at, status, records_updated, left(error_message, 2000)
FROM airflow_jobmon.history
WHERE job_name = %(job_name)s AND NOT drill
ORDER BY started_at DESC
LIMIT 20

-- name: recent_alerts
SELECT a.created_at, a.kind, a.event,
    (SELECT string_agg(format('%%s: %%s', d.channel, d.state), ', ' ORDER BY d.channel)
     FROM airflow_jobmon.deliveries d WHERE d.alert_id = a.id)
FROM airflow_jobmon.alerts a
WHERE a.job_name = %(job_name)s
ORDER BY a.id DESC
LIMIT 20
