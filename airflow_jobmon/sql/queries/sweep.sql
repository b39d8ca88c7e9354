-- name: changed_jobs
-- Jobs whose newest runs are not those judged last, or whose time has come: by a loose scan of the index on
-- (job_name, started_at), one probe a job, that meets each job's newest run first.
-- Where that run is not plain (in progress, failed, or one of several that started at once), the job is marked as
-- `facts` marks it, and asked for the same reasons in the same words.
WITH RECURSIVE way AS MATERIALIZED (
    SELECT airflow_jobmon.newest_first() AS forward
), newest AS (
    (
        SELECT met.*
        FROM way, LATERAL (
            SELECT r.*, lead(r.job_name) OVER () = r.job_name AND lead(r.started_at) OVER () = r.started_at AS tied
            FROM (
                (SELECT r.job_name, r.id, r.started_at, r.completed_at, r.status FROM airflow_jobmon.runs r
                WHERE way.forward AND NOT r.drill
                ORDER BY r.job_name, r.started_at DESC LIMIT 2)
                UNION ALL
                (SELECT r.job_name, r.id, r.started_at, r.completed_at, r.status FROM airflow_jobmon.runs r
                WHERE NOT way.forward AND NOT r.drill
                ORDER BY r.job_name DESC, r.started_at DESC LIMIT 2)
            ) r
            LIMIT 1
        ) met
    )
    UNION ALL
    SELECT met.*
    FROM newest, way, LATERAL (
        SELECT r.*, lead(r.job_name) OVER () = r.job_name AND lead(r.started_at) OVER () = r.started_at AS tied
        FROM (
            (SELECT r.job_name, r.id, r.started_at, r.completed_at, r.status FROM airflow_jobmon.runs r
            WHERE way.forward AND r.job_name > newest.job_name AND NOT r.drill
            ORDER BY r.job_name, r.started_at DESC LIMIT 2)
            UNION ALL
            (SELECT r.job_name, r.id, r.started_at, r.completed_at, r.status FROM airflow_jobmon.runs r
            WHERE NOT way.forward AND r.job_name < newest.job_name AND NOT r.drill
            ORDER BY r.job_name DESC, r.started_at DESC LIMIT 2)
        ) r
        LIMIT 1
    ) met
), known AS MATERIALIZED (
    SELECT coalesce(newest.job_name, st.job_name) AS job_name, 2000 AS far, st.checked_at, st.newest_run,
        (st.checked_at IS NULL OR st.judge_at < coalesce(%(now)s::timestamptz, clock_timestamp())) IS TRUE AS owed,
        CASE
            WHEN newest.id IS NULL THEN '-'
            WHEN newest.status = 'success' AND newest.completed_at IS NOT NULL AND newest.tied IS NOT TRUE
                THEN airflow_jobmon.mark(newest.id, newest.started_at, newest.completed_at, newest.status)
        END AS mark
    FROM newest
    FULL JOIN airflow_jobmon.job_state st ON st.job_name = newest.job_name
    UNION ALL
    SELECT name, 2000, NULL, NULL, true, '-'
    FROM airflow_jobmon.jobs
    WHERE name NOT IN (SELECT job_name FROM airflow_jobmon.job_state) AND name NOT IN (SELECT job_name FROM newest)
)
SELECT job_name, checked_at
FROM known
WHERE owed OR newest_run IS DISTINCT FROM coalesce(mark, newest_run)
UNION ALL
SELECT j.job_name, j.checked_at
FROM known j
LEFT JOIN LATERAL (
    SELECT r.status, r.completed_at, r.status IN ('success', 'failed') AND r.completed_at IS NOT NULL AS is_finished,
        airflow_jobmon.mark(r.id, r.started_at, r.completed_at, r.status) AS mark
    FROM airflow_jobmon.runs r
    WHERE r.job_name = j.job_name AND NOT r.drill
    ORDER BY r.started_at DESC, r.completed_at DESC NULLS FIRST, r.id DESC
    LIMIT 1
) n ON true
LEFT JOIN LATERAL (
    SELECT r.status, coalesce(r.completed_at, r.started_at) AS ended_at,
        airflow_jobmon.mark(r.id, r.started_at, r.completed_at, r.status) AS mark
    FROM (
        SELECT recent.started_at
        FROM (
            SELECT r.started_at, r.status
            FROM airflow_jobmon.runs r
            WHERE r.job_name = j.job_name AND NOT r.drill AND NOT n.is_finished
            ORDER BY r.started_at DESC
            LIMIT j.far
        ) recent
        WHERE recent.status IN ('success', 'failed')
        LIMIT 1
    ) newest
    JOIN airflow_jobmon.runs r ON r.job_name = j.job_name AND r.started_at = newest.started_at
    WHERE NOT r.drill AND r.status IN ('success', 'failed')
    ORDER BY r.completed_at DESC NULLS LAST, r.id DESC
    LIMIT 1
) f ON true
LEFT JOIN LATERAL (
    SELECT r.started_at, r.completed_at, airflow_jobmon.mark(r.id, r.started_at, r.completed_at, r.status) AS mark
    FROM (
        SELECT recent.started_at
        FROM (
            SELECT r.started_at, r.status
            FROM airflow_jobmon.runs r
            WHERE r.job_name = j.job_name AND NOT r.drill
                AND CASE WHEN n.is_finished THEN n.status ELSE f.status END = 'failed'
            ORDER BY r.started_at DESC
            LIMIT j.far
        ) recent
        WHERE recent.status = 'success'
        LIMIT 1
    ) newest
    JOIN airflow_jobmon.runs r ON r.job_name = j.job_name AND r.started_at = newest.started_at
    WHERE NOT r.drill AND r.status = 'success'
    ORDER BY r.completed_at DESC NULLS LAST, r.id DESC
    LIMIT 1
) s ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS failed_in_a_row
    FROM (
        SELECT r.started_at, r.completed_at, r.status
        FROM airflow_jobmon.runs r
        WHERE r.job_name = j.job_name AND NOT r.drill AND r.started_at >= coalesce(s.started_at, '-infinity')
        ORDER BY r.started_at DESC
        LIMIT j.far
    ) recent
    WHERE CASE WHEN n.is_finished THEN n.status ELSE f.status END = 'failed' AND recent.status = 'failed'
        AND coalesce(recent.completed_at, recent.started_at)
            <= CASE WHEN n.is_finished THEN n.completed_at ELSE f.ended_at END
        AND (s.started_at IS NULL
            OR (recent.started_at, coalesce(recent.completed_at, recent.started_at))
                > (s.started_at, coalesce(s.completed_at, s.started_at)))
) k ON true
WHERE j.mark IS NULL AND NOT j.owed
    AND j.newest_run IS DISTINCT FROM concat_ws(' ', coalesce(n.mark, '-'), f.mark, s.mark, nullif(k.failed_in_a_row, 0))
ORDER BY job_name

-- name: due_jobs
-- The statement's time, which unlike the clock's can bound the index.
SELECT job_name, checked_at FROM airflow_jobmon.job_state WHERE judge_at < now() ORDER BY judge_at LIMIT %(limit)s
