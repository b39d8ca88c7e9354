-- The journal of exports, and the rows that they consist of.

-- name: begin_export
INSERT INTO airflow_jobmon.archive_exports (id, folder, before, job_name)
VALUES (%(id)s, %(folder)s, %(before)s, %(job)s)

-- name: lock_export
-- Held by the process that works on the export, for as long as its session lasts.
SELECT pg_try_advisory_lock(hashtextextended('airflow_jobmon.export ' || %(id)s::text, 0))

-- name: unlock_export
SELECT pg_advisory_unlock(hashtextextended('airflow_jobmon.export ' || %(id)s::text, 0))

-- name: begin_part
INSERT INTO airflow_jobmon.archive_parts (export_id, number, name, relation)
VALUES (%(id)s, %(number)s, %(name)s, %(relation)s)

-- name: part_verified
-- The file was read back and is complete, so its runs may be deleted.
UPDATE airflow_jobmon.archive_parts SET state = 'verified', runs = %(runs)s, bytes = %(bytes)s, sha256 = %(sha256)s
WHERE export_id = %(id)s AND number = %(number)s AND state <> 'deleted'

-- name: withdraw_part
-- From now on its runs can no longer be deleted; no row where they were deleted already.
UPDATE airflow_jobmon.archive_parts SET state = 'written'
WHERE export_id = %(id)s AND number = %(number)s AND state <> 'deleted'

-- name: drop_part
-- Once its file is gone.
DELETE FROM airflow_jobmon.archive_parts WHERE export_id = %(id)s AND number = %(number)s AND state = 'written'

-- name: export_statement
-- The COPY statement that reads the rows, which takes no parameters of its own.
SELECT airflow_jobmon.export_statement(
    %(relation)s::text::regclass, %(job_names)s::text::text[], %(befores)s::text::timestamptz[],
    %(first)s::text::tid, %(past)s::text::tid, %(most)s, %(excluded)s::text[]::tid[])

-- name: delete_exported
-- All rows of a part, or none.
SELECT staying::text[], moved
FROM airflow_jobmon.delete_exported(
    %(relation)s::text::regclass, %(places)s::text[]::tid[], %(digests)s::bigint[], %(id)s, %(number)s)

-- name: columns
SELECT name, type, generated FROM airflow_jobmon.export_columns(%(relation)s::text::regclass)

-- name: export
SELECT e.id, e.folder, e.before, e.job_name, e.started_at, i.jobs_log_table AS "table"
FROM airflow_jobmon.archive_exports e, airflow_jobmon.installation i
WHERE e.id = %(id)s

-- name: parts
SELECT number, name, relation, state, runs, bytes, sha256
FROM airflow_jobmon.archive_parts WHERE export_id = %(id)s ORDER BY number

-- name: unfinished
SELECT id FROM airflow_jobmon.archive_exports WHERE finished_at IS NULL AND id <> %(own)s ORDER BY started_at

-- name: finish_export
-- An export without parts is removed from the journal.
WITH empty AS (
    DELETE FROM airflow_jobmon.archive_exports
    WHERE id = %(id)s AND NOT EXISTS (SELECT FROM airflow_jobmon.archive_parts WHERE export_id = %(id)s)
    RETURNING id
)
UPDATE airflow_jobmon.archive_exports SET finished_at = clock_timestamp()
WHERE id = %(id)s AND id NOT IN (SELECT id FROM empty)
