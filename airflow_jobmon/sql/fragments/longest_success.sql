-- The longest success of an unregistered job that is running, from which its limit follows: no one set a timeout.
-- Both queries of facts.sql include it; they define `job` (its newest runs) and `registered`.
LEFT JOIN LATERAL (
    SELECT max(walked.completed_at - walked.started_at) AS longest_success
    FROM (
        SELECT started_at, completed_at, status
        FROM airflow_jobmon.history
        WHERE job_name = job.name AND NOT drill AND registered.name IS NULL AND job.newest_status = 'running'
        ORDER BY started_at DESC
        LIMIT (SELECT 1000)
    ) walked
    WHERE walked.status = 'success'
) longest ON true
