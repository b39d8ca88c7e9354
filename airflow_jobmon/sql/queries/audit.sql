-- What the monthly audit reads besides the monitoring queries.

-- name: error_texts
-- The error texts of each job, since the last audit and before. Callers compare them without digits.
SELECT job_name, left(error_message, 500) AS error, started_at > %(since)s AS recent, count(*)::integer AS runs,
    min(started_at) AS first_at
FROM airflow_jobmon.history
WHERE status = 'failed' AND NOT drill AND error_message IS NOT NULL
    AND started_at > %(until)s - interval '400 days' AND started_at <= %(until)s
    AND (%(job_name)s::text IS NULL OR job_name = %(job_name)s)
GROUP BY job_name, left(error_message, 500), started_at > %(since)s
ORDER BY min(started_at), job_name
