-- The simulated failure of a drill, in the job log of the user.

-- name: session
-- A drill must not keep jobs waiting behind its own wait for a lock. And a column without a zone is read as UTC, so it is
-- written as UTC.
SELECT set_config('lock_timeout', '5s', true), set_config('TimeZone', 'UTC', true)

-- name: job_log
-- The user's table, its words for failed, and for each of our columns its name there (null: it has none). The column of
-- records only where the table requires a value.
SELECT i.jobs_log_table,
    ARRAY(SELECT jsonb_array_elements_text(i.status_words -> 'failed')) AS failed_words,
    (SELECT jsonb_object_agg(ours, a.attname)
        FROM unnest(ARRAY['id', 'job_name', 'started_at', 'completed_at', 'status', 'error_message']) AS ours
        LEFT JOIN pg_attribute a ON a.attrelid = to_regclass(i.jobs_log_table) AND a.attnum > 0
            AND NOT a.attisdropped AND a.attname = coalesce(i.jobs_log_columns ->> ours, ours)) AS columns,
    (SELECT a.attname
        FROM pg_attribute a
        WHERE a.attrelid = to_regclass(i.jobs_log_table) AND NOT a.attisdropped
            AND a.attname = coalesce(i.jobs_log_columns ->> 'records_updated', 'records_updated')
            AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '') AS records_column
FROM airflow_jobmon.installation i

-- name: own_run
-- Whether the view shows the run just inserted, whether as a drill, and whether the trigger wrote its event.
SELECT r.drill,
    EXISTS (SELECT FROM airflow_jobmon.events e WHERE e.job_name = %(job_name)s AND e.run_id = %(run_id)s) AS noted
FROM airflow_jobmon.runs r
WHERE r.job_name = %(job_name)s AND r.id = %(run_id)s AND r.started_at > now() - interval '2 days'

-- name: keep_run
-- In the journal, so that a later drill can delete it if this one is killed.
UPDATE airflow_jobmon.drills SET run_id = %(run_id)s WHERE id = %(id)s RETURNING clock_timestamp()

-- name: forget_event
-- An event that no watcher took while the drill ran must not become an alert later.
DELETE FROM airflow_jobmon.events WHERE job_name = %(job_name)s AND run_id = %(run_id)s
