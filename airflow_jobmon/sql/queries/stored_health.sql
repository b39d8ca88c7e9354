-- The stored health of jobs.

-- name: stored_health
-- The health of all jobs, or of one. The health of all jobs is as old as the last check of all.
SELECT job_name, health, verdict, fresh AND (full_fresh OR %(job_name)s::text IS NOT NULL) AS fresh, awaited,
    CASE WHEN %(job_name)s::text IS NULL THEN all_checked_at ELSE checked_at END AS checked_at
FROM airflow_jobmon.stored_verdicts
WHERE %(job_name)s::text IS NULL OR job_name = %(job_name)s

-- name: disabled
-- Whether the registry has this job disabled; no row where it is not registered.
SELECT NOT coalesce((config ->> 'enabled')::boolean, true) FROM airflow_jobmon.jobs WHERE name = %(job_name)s
