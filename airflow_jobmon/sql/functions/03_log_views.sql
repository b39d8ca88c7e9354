-- Every run, wherever it is by now. Created again by every migrate; nothing in here holds data.

-- The view: `shown` is what `runs` selects of the job log, before it leaves out what is no run. That is done to both
-- together, since a side of a UNION ALL that has conditions of its own is not read in the order of its index.
-- Their texts must agree on a collation, or none of them could be compared with anything.
CREATE OR REPLACE FUNCTION airflow_jobmon.attach_history(shown text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    archived_name text;
BEGIN
    SELECT format('(job_name COLLATE %I.%I)', n.nspname, c.collname) INTO archived_name
    FROM pg_attribute logged
    JOIN pg_attribute archived USING (attname)
    JOIN pg_collation c ON c.oid = logged.attcollation
    JOIN pg_namespace n ON n.oid = c.collnamespace
    WHERE attname = 'job_name' AND logged.attrelid = 'airflow_jobmon.runs'::regclass
        AND archived.attrelid = 'airflow_jobmon.jobs_log_archive'::regclass
        AND archived.attcollation <> logged.attcollation;
    IF archived_name IS NOT NULL THEN
        EXECUTE format(
            'CREATE INDEX IF NOT EXISTS %I ON airflow_jobmon.jobs_log_archive (%s, started_at DESC)',
            'jobs_log_archive_' || left(md5(archived_name), 8), archived_name);
    END IF;
    EXECUTE 'CREATE OR REPLACE VIEW airflow_jobmon.history AS '
        'SELECT id COLLATE "default" AS id, job_name, started_at, completed_at, records_updated, '
        'status COLLATE "default" AS status, error_message COLLATE "default" AS error_message, drill '
        'FROM (' || shown || ' UNION ALL SELECT id, ' || coalesce(archived_name, 'job_name')
        || ', started_at, completed_at, records_updated, status, error_message, '
        'coalesce(status = ''failed'' AND left(error_message, 10) = ''TEST ALERT'', false) '
        'FROM airflow_jobmon.jobs_log_archive) AS every '
        'WHERE id IS NOT NULL AND job_name IS NOT NULL '
        'AND started_at >= ''0001-01-01 00:00+00'' AND started_at < ''9999-12-31 00:00+00''';
    COMMENT ON VIEW airflow_jobmon.history IS 'Every run: of the job log, and of the archive';
END $$;
