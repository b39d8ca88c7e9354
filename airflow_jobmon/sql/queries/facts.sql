-- name: clock
-- The time by which all watchers evaluate.
SELECT clock_timestamp()

-- name: job_names
-- Every name in the log, by a loose scan of the index on (job_name, started_at): one probe a name, not one row a run.
-- A job that has only drills is left out.
WITH RECURSIVE name AS (
    (SELECT job_name FROM airflow_jobmon.runs WHERE NOT drill ORDER BY job_name LIMIT 1)
    UNION ALL
    SELECT (
        SELECT r.job_name FROM airflow_jobmon.runs r
        WHERE r.job_name > name.job_name AND NOT r.drill ORDER BY r.job_name LIMIT 1)
    FROM name
    WHERE name.job_name IS NOT NULL
)
SELECT job_name FROM name WHERE job_name IS NOT NULL

-- name: known_names
-- Those of these names that the log holds.
SELECT given.name
FROM unnest(%(names)s::text[]) AS given (name)
WHERE EXISTS (SELECT FROM airflow_jobmon.runs r WHERE r.job_name = given.name)

-- name: facts
-- What the log shows of each given job now.
-- Walks that only a few jobs need are skipped for all others: `longest` for a running run of an unregistered job,
-- `uncounted` and `since_due` where the stored health was evaluated from other runs or its deadline passed.
WITH job AS (
    SELECT unnest(%(names)s::text[]) AS name
), log AS NOT MATERIALIZED (
    SELECT id, job_name, started_at, completed_at, status, records_updated, error_message
    FROM airflow_jobmon.runs
    WHERE NOT drill
), newest_runs AS (
-- include: newest_runs
)
SELECT job.*,
    -- No earlier than the last evaluation, even if the server's clock was set back a little since.
    greatest((SELECT clock_timestamp()), CASE
        WHEN state.checked_at < (SELECT clock_timestamp()) + interval '5 minutes' THEN state.checked_at
    END) AS requested_at,
    longest.longest_success, counted.finished, counted.succeeded, uncounted.uncounted, state.due_at, since_due.starts
FROM newest_runs job
LEFT JOIN airflow_jobmon.jobs registered ON registered.name = job.name
LEFT JOIN airflow_jobmon.job_state state ON state.job_name = job.name
-- include: longest_success
LEFT JOIN LATERAL (
    -- As a limit, which is 0 before anything is counted; a condition would be checked after the count.
    SELECT finished, succeeded
    FROM airflow_jobmon.finished_since(job.name,
        now() - make_interval(days => coalesce((registered.config ->> 'window_days')::integer, %(window_days)s)))
    LIMIT %(count_window)s::boolean::integer
) counted ON true
LEFT JOIN LATERAL (
    -- Recent failed runs that no incident counted. Older ones were loaded into the log, and are not alerted.
    SELECT jsonb_agg(jsonb_build_object(
        'id', walked.id, 'started_at', walked.started_at, 'completed_at', walked.completed_at,
        'error_message', left(walked.error_message, 4000))) AS uncounted
    FROM (
        SELECT id, started_at, completed_at, status, error_message
        FROM log
        WHERE job_name = job.name AND started_at > now() - interval '7 days'
            AND state.newest_run IS DISTINCT FROM job.newest_run
        ORDER BY started_at DESC
        LIMIT (SELECT 100)
    ) walked
    WHERE walked.status = 'failed' AND coalesce(walked.completed_at, walked.started_at) > now() - %(recent)s
        AND NOT EXISTS (
            SELECT FROM airflow_jobmon.occurrences o
            WHERE o.job_name = job.name AND o.run_id = walked.id AND o.started_at = walked.started_at)
) uncounted ON true
LEFT JOIN LATERAL (
    -- The starts since the evaluation that set the stored deadline, where the newest run started after that deadline.
    SELECT array_agg(walked.started_at ORDER BY walked.started_at) AS starts
    FROM (
        SELECT started_at
        FROM log
        WHERE job_name = job.name AND started_at <= now() AND state.due_at < job.newest_started_at
            AND started_at > coalesce((state.verdict #>> '{last_run,started_at}')::timestamptz, '-infinity')
        ORDER BY started_at DESC
        LIMIT (SELECT 100)
    ) walked
) since_due ON true

-- name: facts_at
-- What log and archive showed of each given job at %(at)s: runs that started later are unseen, and runs that ended later
-- are still running. The stored figures of whole days cannot show that, so the success rate is counted from the runs.
WITH job AS (
    SELECT unnest(%(names)s::text[]) AS name
), log AS NOT MATERIALIZED (
    SELECT id, job_name, started_at,
        CASE WHEN completed_at <= %(at)s THEN completed_at END AS completed_at,
        CASE WHEN completed_at > %(at)s THEN 'running' ELSE status END AS status,
        CASE WHEN completed_at > %(at)s THEN NULL ELSE records_updated END AS records_updated,
        CASE WHEN completed_at > %(at)s THEN NULL ELSE error_message END AS error_message
    FROM airflow_jobmon.history
    WHERE NOT drill AND started_at <= %(at)s
), newest_runs AS (
-- include: newest_runs
)
SELECT job.*, longest.longest_success, counted.finished, counted.succeeded
FROM newest_runs job
LEFT JOIN airflow_jobmon.jobs registered ON registered.name = job.name
-- include: longest_success
CROSS JOIN LATERAL (
    SELECT count(*) AS finished, count(*) FILTER (WHERE status = 'success') AS succeeded
    FROM log
    WHERE job_name = job.name AND status IN ('success', 'failed')
        AND started_at > %(at)s - make_interval(
            days => coalesce((registered.config ->> 'window_days')::integer, %(window_days)s))
) counted
