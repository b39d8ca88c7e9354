-- The views that everything else reads: `runs`, the runs in the job log, and `history`, those and the archived ones.

-- Every row of the job log in our columns. Times that other programs cannot represent (infinity, BC) would keep
-- them from reading all other runs: such an end is null here, and the views leave out runs with such a start.
CREATE OR REPLACE FUNCTION airflow_jobmon.logged_rows(jobs_log regclass, mapped jsonb) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format(
        $sql$
        SELECT %1$s::text AS id,
            %2$s AS job_name,
            %3$s::timestamptz AS started_at,
            CASE WHEN %4$s >= '0001-01-01 00:00+00' AND %4$s < '9999-12-31 00:00+00' THEN %4$s END::timestamptz
                AS completed_at,
            (%5$s)::bigint AS records_updated,
            (%6$s)::text AS status,
            %7$s::text AS error_message,
            coalesce(%8$s AND left(%7$s::text, 10) = 'TEST ALERT', false) AS drill
        FROM %9$s AS log
        $sql$,
        format(mapped ->> 'id', 'log'), format(mapped ->> 'job_name', 'log'), format(mapped ->> 'started_at', 'log'),
        format(mapped ->> 'completed_at', 'log'), format(mapped ->> 'records_updated', 'log'),
        format(mapped ->> 'status', 'log'), format(mapped ->> 'error_message', 'log'),
        format(mapped ->> 'failed', 'log'), jobs_log)
$$;

CREATE OR REPLACE FUNCTION airflow_jobmon.attach_runs(jobs_log regclass, mapped jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format(
        $sql$
        CREATE OR REPLACE VIEW airflow_jobmon.runs AS
        %1$s
        WHERE %2$s IS NOT NULL AND %3$s IS NOT NULL
            AND %4$s >= '0001-01-01 00:00+00' AND %4$s < '9999-12-31 00:00+00'
        $sql$,
        airflow_jobmon.logged_rows(jobs_log, mapped), format(mapped ->> 'id_raw', 'log'),
        format(mapped ->> 'job_name', 'log'), format(mapped ->> 'started_at', 'log'));
END $$;

-- `shown` is the SELECT of logged_rows(). Rows that are not runs are left out of both sides at once, since a side of a
-- UNION ALL that has conditions of its own is not read in the order of its index. Both sides need the same collation for
-- their texts to be comparable, so the name of an archived job takes that of the job log.
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
    EXECUTE format(
        $sql$
        CREATE OR REPLACE VIEW airflow_jobmon.history AS
        SELECT id COLLATE "default" AS id, job_name, started_at, completed_at, records_updated,
            status COLLATE "default" AS status, error_message COLLATE "default" AS error_message, drill
        FROM (
            %1$s
            UNION ALL
            SELECT id, %2$s AS job_name, started_at, completed_at, records_updated, status, error_message,
                coalesce(status = 'failed' AND left(error_message, 10) = 'TEST ALERT', false) AS drill
            FROM airflow_jobmon.jobs_log_archive
        ) AS every
        WHERE id IS NOT NULL AND job_name IS NOT NULL
            AND started_at >= '0001-01-01 00:00+00' AND started_at < '9999-12-31 00:00+00'
        $sql$,
        shown, coalesce(archived_name, 'job_name'));
    COMMENT ON VIEW airflow_jobmon.history IS 'Every run: of the job log, and of the archive';
END $$;
