-- The journal of alert drills, and the alert and deliveries of a drill.

-- name: begin
-- Returns when the drill began.
INSERT INTO airflow_jobmon.drills (id, drill, job_name) VALUES (%(id)s, %(drill)s, %(job_name)s) RETURNING began_at

-- name: heartbeat
-- Records that the drill still runs, and in which session.
UPDATE airflow_jobmon.drills SET seen_at = clock_timestamp(), backend_pid = pg_backend_pid() WHERE id = %(id)s

-- name: end
UPDATE airflow_jobmon.drills SET ended_at = clock_timestamp(), passed = %(passed)s, steps = %(steps)s WHERE id = %(id)s

-- name: abandoned
-- Drills that were killed: their session is gone or, behind a pooler that keeps sessions, they have no recent heartbeat.
SELECT d.id, d.drill, d.job_name, d.run_id, l.cron_job, l.test_data
FROM airflow_jobmon.drills d
LEFT JOIN airflow_jobmon.drill_leftovers l ON l.drill_id = d.id
WHERE d.ended_at IS NULL AND d.id <> %(id)s
    AND (d.seen_at < clock_timestamp() - interval '15 minutes'
        OR NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = d.backend_pid))
    -- Only a drill of the same job has the statement that removes its test data.
    AND (l.test_data IS NULL OR d.job_name = %(cleans)s)
ORDER BY d.began_at
FOR UPDATE OF d SKIP LOCKED

-- name: keep_cron_job
INSERT INTO airflow_jobmon.drill_leftovers (drill_id, cron_job) VALUES (%(id)s, %(left)s)

-- name: keep_test_data
INSERT INTO airflow_jobmon.drill_leftovers (drill_id, test_data) VALUES (%(id)s, %(left)s)

-- name: forget_leftovers
DELETE FROM airflow_jobmon.drill_leftovers WHERE drill_id = %(id)s

-- name: now
SELECT clock_timestamp()

-- name: alert
-- The alert of this drill. The drill's id is in the error text, or in the facts.
SELECT a.id AS alert_id, a.created_at AS at, a.details,
    (SELECT count(*) FROM airflow_jobmon.occurrences o
        WHERE o.job_name = a.job_name AND o.run_id = %(run_id)s AND o.incident_id IS NOT NULL) AS incidents
FROM airflow_jobmon.alerts a
WHERE a.job_name = %(job_name)s AND a.event = 'test'
    AND a.created_at >= (SELECT began_at FROM airflow_jobmon.drills WHERE id = %(id)s)
    AND position(%(id)s::uuid::text IN a.details::text) > 0
ORDER BY a.id
LIMIT 1

-- name: deliveries
SELECT channel, state, attempts, sent_at, last_error, clock_timestamp() AS read_at
FROM airflow_jobmon.deliveries
WHERE alert_id = %(alert_id)s
ORDER BY channel

-- name: watchers
-- The live watchers; those that also deliver come first.
SELECT kind, host, pid, delivers
FROM airflow_jobmon.watchers
WHERE seen_at > clock_timestamp() - interval '15 seconds'
ORDER BY delivers DESC, kind, host, pid
LIMIT 10

-- name: newest_start
SELECT started_at FROM airflow_jobmon.runs
WHERE job_name = %(job_name)s AND NOT drill
ORDER BY started_at DESC
LIMIT 1
