-- The newest runs by which each job is evaluated. facts.sql and sweep.sql include this, so that both mean the same runs.
-- The query that includes it defines `job` (name), and `log`: the runs to look at, without drills.
-- Each walk back ends after 2000 runs, so that a job that failed a million times costs no more than one that failed a
-- few thousand times. A planner that knows too much reads and sorts a job's whole history instead; therefore
--   the limit is a subquery, not a number,
--   the status is compared after the walk,
--   the run that ended last, of those that started at the same moment, is looked up among those alone.
SELECT job.name,
    newest.id AS newest_id, newest.started_at AS newest_started_at, newest.completed_at AS newest_completed_at,
    newest.status AS newest_status, newest.records_updated AS newest_records_updated,
    newest.error_message AS newest_error_message, newest.is_finished AS newest_is_finished,
    finished.id AS finished_id, finished.started_at AS finished_started_at,
    finished.completed_at AS finished_completed_at, finished.status AS finished_status,
    finished.records_updated AS finished_records_updated, finished.error_message AS finished_error_message,
    success.id AS success_id, success.started_at AS success_started_at, success.completed_at AS success_completed_at,
    success.status AS success_status, success.records_updated AS success_records_updated,
    success.error_message AS success_error_message,
    failures.failed_in_a_row, failures.failing_since,
    -- Identifies these runs. job_state stores it, so its format stays.
    concat_ws(' ', coalesce(newest.mark, '-'), finished.mark, success.mark, nullif(failures.failed_in_a_row, 0))
        AS newest_run
FROM job
LEFT JOIN LATERAL (
    SELECT id, started_at, completed_at, status, records_updated, left(error_message, 4000) AS error_message,
        status IN ('success', 'failed') AND completed_at IS NOT NULL AS is_finished,
        airflow_jobmon.mark(id, started_at, completed_at, status) AS mark
    FROM log
    WHERE job_name = job.name
    ORDER BY started_at DESC, completed_at DESC NULLS FIRST, id DESC
    LIMIT 1
) newest ON true
LEFT JOIN LATERAL (
    -- The newest finished run, where the newest run is not finished.
    SELECT id, log.started_at, completed_at, status, records_updated, left(error_message, 4000) AS error_message,
        airflow_jobmon.mark(id, log.started_at, completed_at, status) AS mark
    FROM (
        SELECT walked.started_at
        FROM (
            SELECT started_at, status
            FROM log
            WHERE job_name = job.name AND NOT newest.is_finished
            ORDER BY started_at DESC
            LIMIT (SELECT 2000)
        ) walked
        WHERE walked.status IN ('success', 'failed')
        LIMIT 1
    ) found
    JOIN log ON log.job_name = job.name AND log.started_at = found.started_at
    WHERE status IN ('success', 'failed')
    ORDER BY completed_at DESC NULLS LAST, id DESC
    LIMIT 1
) finished ON true
CROSS JOIN LATERAL (
    SELECT CASE WHEN newest.is_finished THEN newest.status ELSE finished.status END AS status,
        CASE WHEN newest.is_finished THEN newest.completed_at
            ELSE coalesce(finished.completed_at, finished.started_at) END AS ended_at
) last_finished
LEFT JOIN LATERAL (
    -- The newest success, where the last finished run failed.
    SELECT id, log.started_at, completed_at, status, records_updated, left(error_message, 4000) AS error_message,
        airflow_jobmon.mark(id, log.started_at, completed_at, status) AS mark
    FROM (
        SELECT walked.started_at
        FROM (
            SELECT started_at, status
            FROM log
            WHERE job_name = job.name AND last_finished.status = 'failed'
            ORDER BY started_at DESC
            LIMIT (SELECT 2000)
        ) walked
        WHERE walked.status = 'success'
        LIMIT 1
    ) found
    JOIN log ON log.job_name = job.name AND log.started_at = found.started_at
    WHERE status = 'success'
    ORDER BY completed_at DESC NULLS LAST, id DESC
    LIMIT 1
) success ON true
LEFT JOIN LATERAL (
    -- Failures since that success. One that ended after the last finished run changes nothing.
    SELECT count(*) AS failed_in_a_row, min(coalesce(walked.completed_at, walked.started_at)) AS failing_since
    FROM (
        SELECT started_at, completed_at, status
        FROM log
        WHERE job_name = job.name AND started_at >= coalesce(success.started_at, '-infinity')
        ORDER BY started_at DESC
        LIMIT (SELECT 2000)
    ) walked
    WHERE last_finished.status = 'failed' AND walked.status = 'failed'
        AND coalesce(walked.completed_at, walked.started_at) <= last_finished.ended_at
        AND (success.started_at IS NULL
            OR (walked.started_at, coalesce(walked.completed_at, walked.started_at))
                > (success.started_at, coalesce(success.completed_at, success.started_at)))
) failures ON true
