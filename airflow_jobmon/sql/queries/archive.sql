-- name: due
-- The jobs that have runs from before `before`, and for each the moment from which on its runs stay: `before`, or the
-- newest success, since everything after that is what the job is judged by; where there is none, the failures in a row,
-- as far back as `facts` counts them, else the newest run. And never past the first failure that an open incident counts.
-- Walks as `facts` does, and for the same reasons. As arrays in text: they go back with every batch, and for ten thousand
-- jobs that costs more than the batch if each is taken apart and put together again.
WITH RECURSIVE name AS (
    (SELECT job_name FROM airflow_jobmon.runs WHERE %(job)s::text IS NULL ORDER BY job_name LIMIT 1)
    UNION ALL
    SELECT (SELECT r.job_name FROM airflow_jobmon.runs r WHERE r.job_name > name.job_name ORDER BY r.job_name LIMIT 1)
    FROM name
    WHERE name.job_name IS NOT NULL
)
SELECT count(*), coalesce(array_agg(j.job_name ORDER BY j.job_name), '{}')::text,
    coalesce(array_agg(to_char(
        least(%(before)s, coalesce(s.started_at, k.started_at, n.started_at), i.started_at) AT TIME ZONE 'UTC',
        'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') ORDER BY j.job_name), '{}')::text
FROM (
    SELECT job_name, 2000 AS far FROM name WHERE job_name IS NOT NULL
    UNION ALL
    SELECT %(job)s, 2000 WHERE %(job)s::text IS NOT NULL
) j
CROSS JOIN LATERAL (
    SELECT r.started_at FROM airflow_jobmon.runs r WHERE r.job_name = j.job_name ORDER BY r.started_at LIMIT 1
) oldest
LEFT JOIN LATERAL (
    SELECT r.started_at FROM airflow_jobmon.runs r
    WHERE r.job_name = j.job_name AND NOT r.drill ORDER BY r.started_at DESC LIMIT 1
) n ON true
LEFT JOIN LATERAL (
    SELECT recent.started_at
    FROM (
        SELECT r.started_at, r.status FROM airflow_jobmon.runs r
        WHERE r.job_name = j.job_name AND NOT r.drill ORDER BY r.started_at DESC LIMIT j.far
    ) recent
    WHERE recent.status = 'success'
    LIMIT 1
) s ON true
LEFT JOIN LATERAL (
    SELECT min(recent.started_at) AS started_at
    FROM (
        SELECT r.started_at, r.status FROM airflow_jobmon.runs r
        WHERE r.job_name = j.job_name AND NOT r.drill AND s.started_at IS NULL
        ORDER BY r.started_at DESC LIMIT j.far
    ) recent
    WHERE recent.status = 'failed'
) k ON true
LEFT JOIN (
    SELECT o.job_name, min(o.started_at) AS started_at
    FROM airflow_jobmon.incidents i
    JOIN airflow_jobmon.occurrences o ON o.incident_id = i.id
    WHERE i.resolved_at IS NULL
    GROUP BY o.job_name
) i ON i.job_name = j.job_name
WHERE oldest.started_at < %(before)s

-- name: tables
SELECT relation, blocks FROM airflow_jobmon.log_tables()

-- name: foreign_parts
-- Partitions that are kept on another server: their rows are read like the others, and cannot be moved.
SELECT c.oid::regclass::text
FROM airflow_jobmon.installation i, pg_partition_tree(i.jobs_log_table::regclass) t
JOIN pg_class c ON c.oid = t.relid
WHERE c.relkind = 'f'

-- name: move
SELECT picked, last::text, moved
FROM airflow_jobmon.archive_batch(
    %(relation)s::text::regclass, %(job_names)s::text::text[], %(befores)s::text::timestamptz[], %(first)s::text::tid, %(past)s::text::tid, %(most)s)

-- name: next_place
SELECT airflow_jobmon.archive_next(
    %(relation)s::text::regclass, %(job_names)s::text::text[], %(befores)s::text::timestamptz[], %(first)s::text::tid, %(past)s::text::tid)::text

-- name: count
SELECT job_name, runs, oldest, newest
FROM airflow_jobmon.archive_count(%(relation)s::text::regclass, %(job_names)s::text::text[], %(befores)s::text::timestamptz[])

-- name: stay
-- Older runs by the first reason for which they stay; '' for those that have none here.
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
