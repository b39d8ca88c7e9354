-- Moves runs from the job log to the archive.

-- name: movable_jobs
-- The jobs that have runs from before `before`, and for each the time from which its runs stay: `before`, or, if that is
-- earlier, the start of its newest success, since every run after it decides its health. A job without a success keeps its
-- failures in a row, as far back as `facts` counts them, or its newest run. No run that an open incident counts is moved.
-- Only starts matter here, and ties do not, so this reads less of each job than the fragment newest_runs; the walks end
-- after 2000 runs as there, and for the same reason by a subquery.
-- Two arrays as text: they are sent back with every batch, and for ten thousand jobs, reading them into Python and
-- writing them again would take longer than the batch.
WITH RECURSIVE logged AS (
    -- A loose scan: one probe of the index for each name.
    (SELECT job_name AS name FROM airflow_jobmon.runs WHERE %(job)s::text IS NULL ORDER BY job_name LIMIT 1)
    UNION ALL
    SELECT (SELECT r.job_name FROM airflow_jobmon.runs r WHERE r.job_name > logged.name ORDER BY r.job_name LIMIT 1)
    FROM logged
    WHERE logged.name IS NOT NULL
), job AS (
    SELECT name FROM logged WHERE name IS NOT NULL
    UNION ALL
    SELECT %(job)s WHERE %(job)s::text IS NOT NULL
), incident AS (
    -- The first failure that an open incident of each job counts.
    SELECT o.job_name, min(o.started_at) AS started_at
    FROM airflow_jobmon.incidents i
    JOIN airflow_jobmon.occurrences o ON o.incident_id = i.id
    WHERE i.resolved_at IS NULL
    GROUP BY o.job_name
)
SELECT count(*) AS count, coalesce(array_agg(job.name ORDER BY job.name), '{}')::text AS job_names,
    coalesce(array_agg(to_char(
        least(
            %(before)s,
            coalesce(success.started_at, failure.started_at, newest.started_at),
            incident.started_at
        ) AT TIME ZONE 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') ORDER BY job.name), '{}')::text AS befores
FROM job
CROSS JOIN LATERAL (
    SELECT started_at FROM airflow_jobmon.runs WHERE job_name = job.name ORDER BY started_at LIMIT 1
) oldest
LEFT JOIN LATERAL (
    SELECT started_at FROM airflow_jobmon.runs
    WHERE job_name = job.name AND NOT drill ORDER BY started_at DESC LIMIT 1
) newest ON true
LEFT JOIN LATERAL (
    SELECT walked.started_at
    FROM (
        SELECT started_at, status FROM airflow_jobmon.runs
        WHERE job_name = job.name AND NOT drill ORDER BY started_at DESC LIMIT (SELECT 2000)
    ) walked
    WHERE walked.status = 'success'
    LIMIT 1
) success ON true
LEFT JOIN LATERAL (
    SELECT min(walked.started_at) AS started_at
    FROM (
        SELECT started_at, status FROM airflow_jobmon.runs
        WHERE job_name = job.name AND NOT drill AND success.started_at IS NULL
        ORDER BY started_at DESC LIMIT (SELECT 2000)
    ) walked
    WHERE walked.status = 'failed'
) failure ON true
LEFT JOIN incident ON incident.job_name = job.name
WHERE oldest.started_at < %(before)s

-- name: tables
-- The job log, or its partitions, with their sizes.
SELECT relation, blocks FROM airflow_jobmon.log_tables()

-- name: foreign_parts
-- Partitions on another server: their rows are read like all others, but cannot be moved.
SELECT c.oid::regclass::text AS relation
FROM airflow_jobmon.installation i, pg_partition_tree(i.jobs_log_table::regclass) t
JOIN pg_class c ON c.oid = t.relid
WHERE c.relkind = 'f'

-- name: move
-- One batch, in one transaction.
SELECT picked, last::text AS last, moved
FROM airflow_jobmon.archive_batch(
    %(relation)s::text::regclass, %(job_names)s::text::text[], %(befores)s::text::timestamptz[], %(first)s::text::tid, %(past)s::text::tid, %(most)s)

-- name: next_place
-- Where the first row stands that a batch would move.
SELECT airflow_jobmon.archive_next(
    %(relation)s::text::regclass, %(job_names)s::text::text[], %(befores)s::text::timestamptz[], %(first)s::text::tid, %(past)s::text::tid)::text

-- name: count
-- What would be moved of one table, by job; reads the whole table.
SELECT job_name, runs, oldest, newest
FROM airflow_jobmon.archive_count(%(relation)s::text::regclass, %(job_names)s::text::text[], %(befores)s::text::timestamptz[])

-- name: staying
-- Older runs, counted by the first reason why they stay; '' if none of these reasons applies.
SELECT CASE
        WHEN r.status = 'running' THEN 'still running'
        WHEN r.status NOT IN ('success', 'failed') AND r.completed_at IS NULL THEN 'of an unknown status and without an end'
        WHEN r.started_at >= due.before THEN 'the newest of their job, or of an open incident'
        ELSE ''
    END AS reason, count(*)
FROM unnest(%(job_names)s::text::text[], %(befores)s::text::timestamptz[]) AS due (job_name, before)
JOIN airflow_jobmon.runs r ON r.job_name = due.job_name
WHERE r.started_at < %(before)s
GROUP BY 1
ORDER BY 1
