-- name: changed_jobs
-- Jobs that are due, or whose newest runs are not those that their last evaluation read.
-- A loose scan of the index on (job_name, started_at) reads the newest run of each job, one probe a job. Where that run
-- is not plain (in progress, failed, or one of several that started at the same moment), the job's newest runs are
-- looked up as `facts` looks them up.
WITH RECURSIVE scan AS MATERIALIZED (
    SELECT airflow_jobmon.newest_first() AS forward
), log AS NOT MATERIALIZED (
    SELECT id, job_name, started_at, completed_at, status, records_updated, error_message
    FROM airflow_jobmon.runs
    WHERE NOT drill
), newest AS (
    -- The first job's newest run, then each next job's, in the direction in which the index has it first. The run
    -- behind it shows whether it is `tied`: whether another run of the job started at the same moment.
    (
        SELECT run.*
        FROM scan, LATERAL (
            SELECT pair.*, lead(job_name) OVER () = job_name AND lead(started_at) OVER () = started_at AS tied
            FROM (
                (SELECT job_name, id, started_at, completed_at, status FROM log
                WHERE scan.forward
                ORDER BY job_name, started_at DESC LIMIT 2)
                UNION ALL
                (SELECT job_name, id, started_at, completed_at, status FROM log
                WHERE NOT scan.forward
                ORDER BY job_name DESC, started_at DESC LIMIT 2)
            ) pair
            LIMIT 1
        ) run
    )
    UNION ALL
    SELECT run.*
    FROM newest, scan, LATERAL (
        SELECT pair.*, lead(job_name) OVER () = job_name AND lead(started_at) OVER () = started_at AS tied
        FROM (
            (SELECT job_name, id, started_at, completed_at, status FROM log
            WHERE scan.forward AND log.job_name > newest.job_name
            ORDER BY job_name, started_at DESC LIMIT 2)
            UNION ALL
            (SELECT job_name, id, started_at, completed_at, status FROM log
            WHERE NOT scan.forward AND log.job_name < newest.job_name
            ORDER BY job_name DESC, started_at DESC LIMIT 2)
        ) pair
        LIMIT 1
    ) run
), known AS MATERIALIZED (
    -- Every job of the log, of the states and of the registry. mark: of its newest run; null where that is not plain.
    SELECT coalesce(newest.job_name, state.job_name) AS name, state.checked_at, state.newest_run,
        (state.checked_at IS NULL
            OR state.judge_at < coalesce(%(now)s::timestamptz, clock_timestamp())) IS TRUE AS is_due,
        CASE
            WHEN newest.id IS NULL THEN '-'
            WHEN newest.status = 'success' AND newest.completed_at IS NOT NULL AND newest.tied IS NOT TRUE
                THEN airflow_jobmon.mark(newest.id, newest.started_at, newest.completed_at, newest.status)
        END AS mark
    FROM newest
    FULL JOIN airflow_jobmon.job_state state ON state.job_name = newest.job_name
    UNION ALL
    SELECT name, NULL, NULL, true, '-'
    FROM airflow_jobmon.jobs
    WHERE name NOT IN (SELECT job_name FROM airflow_jobmon.job_state) AND name NOT IN (SELECT job_name FROM newest)
), job AS (
    -- Jobs whose mark alone cannot show whether anything changed.
    SELECT name, checked_at, newest_run AS evaluated_run
    FROM known
    WHERE mark IS NULL AND NOT is_due
), newest_runs AS (
-- include: newest_runs
)
SELECT name, checked_at
FROM known
WHERE is_due OR newest_run IS DISTINCT FROM coalesce(mark, newest_run)
UNION ALL
SELECT name, job.checked_at
FROM newest_runs JOIN job USING (name)
WHERE newest_runs.newest_run IS DISTINCT FROM job.evaluated_run
ORDER BY name

-- name: due_jobs
-- Compares with now(): clock_timestamp(), which moves on while the statement runs, could not bound the index scan.
SELECT job_name AS name, checked_at FROM airflow_jobmon.job_state WHERE judge_at < now() ORDER BY judge_at LIMIT %(limit)s
