-- name: clock
SELECT clock_timestamp()

-- name: job_names
-- Every name in the log, by a loose scan of the (job_name, started_at) index: one probe a name, not a row.
-- A job that only drills know is none.
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
SELECT given.name
FROM unnest(%(names)s::text[]) AS given (name)
WHERE EXISTS (SELECT FROM airflow_jobmon.runs r WHERE r.job_name = given.name)

-- name: facts
-- What the log shows of each given job, drills left out, as it stood at %(at)s (null: now), and when that was asked.
-- A run that ended after `at` was still running then. The walks back are bounded, so that a job which failed
-- a million times costs no more than one that failed a thousand times.
-- How far is a column and not a number, statuses are asked of what was walked, and which of the runs that started at
-- one moment ended last is asked of those alone: told more, the planner reads and sorts a job's whole history.
-- The last finished run (f) is looked for only where the newest (n) is none, the last success (s) only where that failed,
-- and what the stored verdict did not know (o, d) only where it stood on other runs.
SELECT
    j.name,
    -- A clock that was set back a little does not take back what was judged.
    greatest((SELECT clock_timestamp()), CASE
        WHEN st.checked_at < (SELECT clock_timestamp()) + interval '5 minutes' THEN st.checked_at END) AS asked_at,
    n.id, n.started_at, n.completed_at, n.status, n.records_updated, n.error_message, n.is_finished,
    f.id, f.started_at, f.completed_at, f.status, f.records_updated, f.error_message,
    s.id, s.started_at, s.completed_at, s.status, s.records_updated, s.error_message,
    k.failed_in_a_row,
    k.failing_since,
    l.longest_success,
    m.newest_run,
    w.finished,
    w.succeeded,
    o.overlooked,
    st.due_at,
    d.starts
FROM unnest(%(names)s::text[], array_fill(2000, ARRAY[cardinality(%(names)s::text[])])) AS j (name, far)
LEFT JOIN airflow_jobmon.jobs reg ON reg.name = j.name
LEFT JOIN airflow_jobmon.job_state st ON st.job_name = j.name
LEFT JOIN LATERAL (
    SELECT r.id, r.started_at,
        CASE WHEN r.completed_at <= coalesce(%(at)s::timestamptz, 'infinity') THEN r.completed_at END AS completed_at,
        CASE WHEN r.completed_at > %(at)s::timestamptz THEN 'running' ELSE r.status END AS status,
        CASE WHEN r.completed_at > %(at)s::timestamptz THEN NULL ELSE r.records_updated END AS records_updated,
        CASE WHEN r.completed_at > %(at)s::timestamptz THEN NULL ELSE left(r.error_message, 4000) END AS error_message,
        r.status IN ('success', 'failed') AND r.completed_at <= coalesce(%(at)s::timestamptz, 'infinity') AS is_finished,
        airflow_jobmon.mark(r.id, r.started_at, r.completed_at, r.status) AS mark
    FROM airflow_jobmon.runs r
    WHERE r.job_name = j.name AND NOT r.drill AND r.started_at <= coalesce(%(at)s::timestamptz, 'infinity')
    ORDER BY r.started_at DESC, r.completed_at DESC NULLS FIRST, r.id DESC
    LIMIT 1
) n ON true
LEFT JOIN LATERAL (
    SELECT r.id, r.started_at, r.completed_at, r.status, r.records_updated, left(r.error_message, 4000) AS error_message,
        airflow_jobmon.mark(r.id, r.started_at, r.completed_at, r.status) AS mark
    FROM (
        SELECT recent.started_at
        FROM (
            SELECT r.started_at, r.completed_at, r.status
            FROM airflow_jobmon.runs r
            WHERE r.job_name = j.name AND NOT r.drill AND r.started_at <= coalesce(%(at)s::timestamptz, 'infinity')
                AND n.is_finished IS NOT TRUE
            ORDER BY r.started_at DESC
            LIMIT j.far
        ) recent
        WHERE recent.status IN ('success', 'failed')
            AND coalesce(recent.completed_at, recent.started_at) <= coalesce(%(at)s::timestamptz, 'infinity')
        LIMIT 1
    ) newest
    JOIN airflow_jobmon.runs r ON r.job_name = j.name AND r.started_at = newest.started_at
    WHERE NOT r.drill AND r.status IN ('success', 'failed')
        AND coalesce(r.completed_at, r.started_at) <= coalesce(%(at)s::timestamptz, 'infinity')
    ORDER BY r.completed_at DESC NULLS LAST, r.id DESC
    LIMIT 1
) f ON true
LEFT JOIN LATERAL (
    SELECT r.id, r.started_at, r.completed_at, r.status, r.records_updated, left(r.error_message, 4000) AS error_message,
        airflow_jobmon.mark(r.id, r.started_at, r.completed_at, r.status) AS mark
    FROM (
        SELECT recent.started_at
        FROM (
            SELECT r.started_at, r.completed_at, r.status
            FROM airflow_jobmon.runs r
            WHERE r.job_name = j.name AND NOT r.drill AND r.started_at <= coalesce(%(at)s::timestamptz, 'infinity')
                AND CASE WHEN n.is_finished THEN n.status ELSE f.status END = 'failed'
            ORDER BY r.started_at DESC
            LIMIT j.far
        ) recent
        WHERE recent.status = 'success'
            AND coalesce(recent.completed_at, recent.started_at) <= coalesce(%(at)s::timestamptz, 'infinity')
        LIMIT 1
    ) newest
    JOIN airflow_jobmon.runs r ON r.job_name = j.name AND r.started_at = newest.started_at
    WHERE NOT r.drill AND r.status = 'success'
        AND coalesce(r.completed_at, r.started_at) <= coalesce(%(at)s::timestamptz, 'infinity')
    ORDER BY r.completed_at DESC NULLS LAST, r.id DESC
    LIMIT 1
) s ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS failed_in_a_row, min(coalesce(recent.completed_at, recent.started_at)) AS failing_since
    FROM (
        SELECT r.started_at, r.completed_at, r.status
        FROM airflow_jobmon.runs r
        WHERE r.job_name = j.name AND NOT r.drill
            AND r.started_at >= coalesce(s.started_at, '-infinity')
            AND r.started_at <= coalesce(%(at)s::timestamptz, 'infinity')
        ORDER BY r.started_at DESC
        LIMIT j.far
    ) recent
    -- One that ended after a newer run had ended already changes nothing.
    WHERE CASE WHEN n.is_finished THEN n.status ELSE f.status END = 'failed' AND recent.status = 'failed'
        AND coalesce(recent.completed_at, recent.started_at)
            <= CASE WHEN n.is_finished THEN n.completed_at ELSE coalesce(f.completed_at, f.started_at) END
        AND (s.started_at IS NULL
            OR (recent.started_at, coalesce(recent.completed_at, recent.started_at))
                > (s.started_at, coalesce(s.completed_at, s.started_at)))
) k ON true
CROSS JOIN LATERAL (
    -- What `changed_jobs` compares; there it is spelled alike.
    SELECT concat_ws(' ', coalesce(n.mark, '-'), f.mark, s.mark, nullif(k.failed_in_a_row, 0)) AS newest_run
) m
LEFT JOIN LATERAL (
    SELECT max(recent.completed_at - recent.started_at) AS longest_success
    FROM (
        SELECT r.started_at, r.completed_at, r.status
        FROM airflow_jobmon.history r
        WHERE r.job_name = j.name AND NOT r.drill AND reg.name IS NULL AND n.status = 'running'
        ORDER BY r.started_at DESC
        LIMIT j.far / 2
    ) recent
    WHERE recent.status = 'success'
) l ON true
LEFT JOIN LATERAL (
    SELECT now() - make_interval(days => coalesce((reg.config ->> 'window_days')::integer, %(window_days)s)) AS since
) win ON true
LEFT JOIN LATERAL (
    SELECT c.finished, c.succeeded
    FROM airflow_jobmon.finished_since(j.name, win.since) c
    WHERE %(count_window)s AND %(at)s::timestamptz IS NULL
    UNION ALL
    -- As it stood then, whole days that were counted since say nothing.
    SELECT count(*), count(*) FILTER (WHERE r.status = 'success')
    FROM airflow_jobmon.history r
    WHERE r.job_name = j.name AND NOT r.drill AND r.status IN ('success', 'failed')
        AND r.started_at > %(at)s::timestamptz - (now() - win.since) AND r.started_at <= %(at)s::timestamptz
        AND coalesce(r.completed_at, r.started_at) <= %(at)s::timestamptz
    HAVING %(count_window)s AND %(at)s::timestamptz IS NOT NULL
) w ON true
LEFT JOIN LATERAL (
    -- Failed runs that nobody counted, of the newest hundred; those that failed long ago were loaded into the log.
    SELECT jsonb_agg(jsonb_build_array(
        recent.id, recent.started_at, recent.completed_at, left(recent.error_message, 4000))) AS overlooked
    FROM (
        SELECT r.id, r.started_at, r.completed_at, r.status, r.error_message
        FROM airflow_jobmon.runs r
        WHERE r.job_name = j.name AND NOT r.drill AND r.started_at > now() - interval '7 days'
            AND %(at)s::timestamptz IS NULL AND st.newest_run IS DISTINCT FROM m.newest_run
        ORDER BY r.started_at DESC
        LIMIT j.far / 20
    ) recent
    WHERE recent.status = 'failed' AND coalesce(recent.completed_at, recent.started_at) > now() - %(news)s
        AND NOT EXISTS (
            SELECT FROM airflow_jobmon.occurrences c
            WHERE c.job_name = j.name AND c.run_id = recent.id AND c.started_at = recent.started_at)
) o ON true
LEFT JOIN LATERAL (
    -- When runs started since the stored deadline was reckoned, where it passed before the newest of them.
    SELECT array_agg(recent.started_at ORDER BY recent.started_at) AS starts
    FROM (
        SELECT r.started_at
        FROM airflow_jobmon.runs r
        WHERE r.job_name = j.name AND NOT r.drill AND r.started_at <= now()
            AND r.started_at > coalesce((st.verdict #>> '{last_run,started_at}')::timestamptz, '-infinity')
            AND %(at)s::timestamptz IS NULL AND st.due_at < n.started_at
        ORDER BY r.started_at DESC
        LIMIT j.far / 20
    ) recent
) d ON true
