-- The simulated failure of a drill, in the job log of the user.

-- name: session
-- Jobs wait for nobody because of a drill; and a column without a zone is read as UTC, so it is written as that.
SELECT set_config('lock_timeout', '5s', true), set_config('TimeZone', 'UTC', true)

-- name: job_log
-- The user's table, and for each column of ours what it is called there; null where it has none. A count of records is
-- among them only where the table demands one.
SELECT i.jobs_log_table,
    ARRAY(SELECT jsonb_array_elements_text(i.status_words -> 'failed')),
    (SELECT jsonb_object_agg(ours, a.attname)
        FROM unnest(ARRAY['id', 'job_name', 'started_at', 'completed_at', 'status', 'error_message']) AS ours
        LEFT JOIN pg_attribute a ON a.attrelid = to_regclass(i.jobs_log_table) AND a.attnum > 0
            AND NOT a.attisdropped AND a.attname = coalesce(i.jobs_log_columns ->> ours, ours)),
    (SELECT a.attname
        FROM pg_attribute a
        WHERE a.attrelid = to_regclass(i.jobs_log_table) AND NOT a.attisdropped
            AND a.attname = coalesce(i.jobs_log_columns ->> 'records_updated', 'records_updated')
            AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '')
FROM airflow_jobmon.installation i

-- name: own_run
-- Whether our view shows the run that was just inserted, as what, and whether the trigger noted it.
SELECT r.drill,
    EXISTS (SELECT FROM airflow_jobmon.events e WHERE e.job_name = %(job_name)s AND e.run_id = %(run_id)s)
FROM airflow_jobmon.runs r
WHERE r.job_name = %(job_name)s AND r.id = %(run_id)s AND r.started_at > now() - interval '2 days'

-- name: keep_run
UPDATE airflow_jobmon.drills SET run_id = %(run_id)s WHERE id = %(id)s RETURNING clock_timestamp()

-- name: forget_event
-- A drill that nobody took while it ran is not to be told later.
DELETE FROM airflow_jobmon.events WHERE job_name = %(job_name)s AND run_id = %(run_id)s
