-- The triggers that mark changes to days which may be sealed. Created again by every migrate; nothing in here holds data.

-- What must be marked, on every table it must be marked on. A run that starts, ends and stays as it is within 23 hours
-- calls no function of ours: the conditions keep it out. By the clock and not by the transaction's start, since a
-- transaction that began yesterday may change a day that was sealed today; an hour before sealing, since clocks step back.
CREATE OR REPLACE FUNCTION airflow_jobmon.marking_triggers(jobs_log regclass, mapped jsonb)
RETURNS TABLE (relation regclass, name text, definition text, function text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT jobs_log, 'airflow_jobmon_days_insert',
        format('AFTER INSERT ON %s FOR EACH ROW WHEN (%s)',
            jobs_log, format(mapped ->> 'started_at', 'NEW') || ' < clock_timestamp() - interval ''23 hours'''),
        'airflow_jobmon.mark_days'
    UNION ALL
    SELECT jobs_log, 'airflow_jobmon_days_update',
        format('AFTER UPDATE ON %s FOR EACH ROW WHEN (least(%s, %s) < clock_timestamp() - interval ''23 hours'')',
            jobs_log, format(mapped ->> 'started_at', 'OLD'), format(mapped ->> 'started_at', 'NEW')),
        'airflow_jobmon.mark_days'
    UNION ALL
    -- What the archive takes is still counted: from there, or in a frozen day.
    SELECT jobs_log, 'airflow_jobmon_days_delete',
        format('AFTER DELETE ON %s FOR EACH ROW WHEN (%s AND current_setting(''airflow_jobmon.archiving'', true)'
            ' IS DISTINCT FROM ''on'')',
            jobs_log, format(mapped ->> 'started_at', 'OLD') || ' < clock_timestamp() - interval ''23 hours'''),
        'airflow_jobmon.mark_days'
    UNION ALL
    SELECT t.relid, 'airflow_jobmon_days_truncate', format('AFTER TRUNCATE ON %s FOR EACH STATEMENT', t.relid),
        'airflow_jobmon.mark_days'
    FROM (SELECT jobs_log AS relid UNION SELECT relid FROM pg_partition_tree(jobs_log)) t
    JOIN pg_class c ON c.oid = t.relid
    WHERE c.relkind IN ('r', 'p')
    UNION ALL
    SELECT 'airflow_jobmon.jobs_log_archive'::regclass, 'airflow_jobmon_days_' || lower(operation),
        format('AFTER %s ON airflow_jobmon.jobs_log_archive FOR EACH ROW'
            ' WHEN (current_setting(''airflow_jobmon.archiving'', true) IS DISTINCT FROM ''on'')', operation),
        'airflow_jobmon.mark_archived_days'
    FROM unnest(ARRAY['INSERT', 'UPDATE', 'DELETE']) AS operation
    UNION ALL
    SELECT 'airflow_jobmon.jobs_log_archive'::regclass, 'airflow_jobmon_days_truncate',
        'AFTER TRUNCATE ON airflow_jobmon.jobs_log_archive FOR EACH STATEMENT', 'airflow_jobmon.mark_archived_days'
$$;

-- Makes their functions: for the job log as `mapped` says, and for the archive.
CREATE OR REPLACE FUNCTION airflow_jobmon.make_marking(mapped jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    made text := 'CREATE OR REPLACE FUNCTION airflow_jobmon.%s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER '
        'SET search_path = pg_catalog, pg_temp SET lock_timeout = ''100ms'' AS %L';
BEGIN
    EXECUTE format(made, 'mark_days', airflow_jobmon.mark_days_body(mapped));
    EXECUTE format(made, 'mark_archived_days', airflow_jobmon.mark_days_body(
        '{"job_name": "%1$s.job_name", "started_at": "%1$s.started_at"}'));
END $$;

-- The body of their function, for a table that is read as `mapped` says. Like that of note_failed_run it must never
-- raise an error, wait, or touch lastval(). A transaction that changes many days marks them for all jobs, each once.
CREATE OR REPLACE FUNCTION airflow_jobmon.mark_days_body(mapped jsonb) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $body$
SELECT $head$
#variable_conflict use_variable
DECLARE
    changed record;
    marks integer;
    days text;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        LOCK TABLE airflow_jobmon.dirty IN ROW EXCLUSIVE MODE NOWAIT;
        INSERT INTO airflow_jobmon.dirty (job_name, day) VALUES (NULL, NULL);
        RETURN NULL;
    END IF;
    FOR changed IN
        SELECT side.job, (side.started AT TIME ZONE 'UTC')::date AS day
        FROM (VALUES
$head$
|| '            (''INSERT'', ' || format(mapped ->> 'job_name', 'NEW') || ', ' || format(mapped ->> 'started_at', 'NEW') || '),' || E'\n'
|| '            (''DELETE'', ' || format(mapped ->> 'job_name', 'OLD') || ', ' || format(mapped ->> 'started_at', 'OLD') || ')' || E'\n'
|| $tail$
        ) AS side (operation, job, started)
        WHERE TG_OP IN ('UPDATE', side.operation) AND octet_length(side.job) <= 2600
            AND side.started >= '0001-01-01 00:00+00'
            AND side.started < pg_catalog.clock_timestamp() - interval '23 hours'
    LOOP
        IF current_setting('airflow_jobmon.marked', true) = changed.day::text || ' ' || changed.job THEN
            CONTINUE;
        END IF;
        marks := coalesce(nullif(current_setting('airflow_jobmon.marks', true), ''), '0')::integer;
        IF marks < 200 THEN
            LOCK TABLE airflow_jobmon.dirty IN ROW EXCLUSIVE MODE NOWAIT;
            INSERT INTO airflow_jobmon.dirty (job_name, day) VALUES (changed.job, changed.day);
            PERFORM set_config('airflow_jobmon.marks', (marks + 1)::text, true),
                set_config('airflow_jobmon.marked', changed.day::text || ' ' || changed.job, true);
            CONTINUE;
        END IF;
        days := coalesce(current_setting('airflow_jobmon.marked_days', true), '');
        IF position(changed.day::text in days) = 0 THEN
            LOCK TABLE airflow_jobmon.dirty IN ROW EXCLUSIVE MODE NOWAIT;
            INSERT INTO airflow_jobmon.dirty (job_name, day) VALUES (NULL, changed.day);
            PERFORM set_config('airflow_jobmon.marked_days', days || ' ' || changed.day::text, true);
        END IF;
    END LOOP;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE LOG 'airflow_jobmon: a change to past days was not marked, so all of them are counted again: %', SQLERRM;
    BEGIN
        PERFORM setval('airflow_jobmon.lost_marks', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
    EXCEPTION WHEN OTHERS THEN
        RAISE LOG 'airflow_jobmon: that could not be noted either: %', SQLERRM;
    END;
    RETURN NULL;
END $tail$
$body$;
