-- The triggers that mark changes to days which may be sealed (16_sealing.sql) in the table `dirty`.

-- Each trigger, on the job log, its partitions and the archive. A run that starts, ends and is left alone within 23
-- hours calls no function of ours: the WHEN clauses keep it out. They go by the clock and not by the transaction's
-- start, since a transaction that began yesterday may change a day that was sealed today; and by an hour less than
-- sealing does, since clocks step back. The text of a definition is compared with the installed one: any change to it
-- makes `migrate` create the trigger again, under a lock that writers wait for.
CREATE OR REPLACE FUNCTION airflow_jobmon.marking_triggers(jobs_log regclass, mapped jsonb)
RETURNS TABLE (relation regclass, name text, definition text, function text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT jobs_log, 'airflow_jobmon_days_insert',
        format($sql$AFTER INSERT ON %s FOR EACH ROW WHEN (%s < clock_timestamp() - interval '23 hours')$sql$,
            jobs_log, format(mapped ->> 'started_at', 'NEW')),
        'airflow_jobmon.mark_days'
    UNION ALL
    SELECT jobs_log, 'airflow_jobmon_days_update',
        format($sql$AFTER UPDATE ON %s FOR EACH ROW WHEN (least(%s, %s) < clock_timestamp() - interval '23 hours')$sql$,
            jobs_log, format(mapped ->> 'started_at', 'OLD'), format(mapped ->> 'started_at', 'NEW')),
        'airflow_jobmon.mark_days'
    UNION ALL
    -- What the archive takes is still counted: in the archive, or in a frozen day.
    SELECT jobs_log, 'airflow_jobmon_days_delete',
        format($sql$AFTER DELETE ON %s FOR EACH ROW WHEN (%s < clock_timestamp() - interval '23 hours'$sql$
                || $sql$ AND current_setting('airflow_jobmon.archiving', true) IS DISTINCT FROM 'on')$sql$,
            jobs_log, format(mapped ->> 'started_at', 'OLD')),
        'airflow_jobmon.mark_days'
    UNION ALL
    SELECT t.relid, 'airflow_jobmon_days_truncate',
        format('AFTER TRUNCATE ON %s FOR EACH STATEMENT', t.relid),
        'airflow_jobmon.mark_days'
    FROM (SELECT jobs_log AS relid UNION SELECT relid FROM pg_partition_tree(jobs_log)) t
    JOIN pg_class c ON c.oid = t.relid
    WHERE c.relkind IN ('r', 'p')
    UNION ALL
    SELECT 'airflow_jobmon.jobs_log_archive'::regclass, 'airflow_jobmon_days_' || lower(operation),
        format($sql$AFTER %s ON airflow_jobmon.jobs_log_archive FOR EACH ROW$sql$
                || $sql$ WHEN (current_setting('airflow_jobmon.archiving', true) IS DISTINCT FROM 'on')$sql$,
            operation),
        'airflow_jobmon.mark_archived_days'
    FROM unnest(ARRAY['INSERT', 'UPDATE', 'DELETE']) AS operation
    UNION ALL
    SELECT 'airflow_jobmon.jobs_log_archive'::regclass, 'airflow_jobmon_days_truncate',
        'AFTER TRUNCATE ON airflow_jobmon.jobs_log_archive FOR EACH STATEMENT',
        'airflow_jobmon.mark_archived_days'
$$;

-- Creates the trigger functions: for the job log as `mapped` says, and for the archive.
CREATE OR REPLACE FUNCTION airflow_jobmon.make_marking(mapped jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM airflow_jobmon.make_trigger_function('mark_days', airflow_jobmon.mark_days_body(mapped));
    PERFORM airflow_jobmon.make_trigger_function('mark_archived_days', airflow_jobmon.mark_days_body(
        '{"job_name": "%1$s.job_name", "started_at": "%1$s.started_at"}'));
END $$;

-- The body of the function that marks days, for a table that is read as `mapped` says; sql/rendered/ shows the result.
-- Like that of note_failed_run it must never raise an error, wait, or change lastval(). A transaction that changes more
-- than 200 days of single jobs marks further days for all jobs, each once.
CREATE OR REPLACE FUNCTION airflow_jobmon.mark_days_body(mapped jsonb) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $function$
SELECT format($template$
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
            ('INSERT', %1$s, %2$s),
            ('DELETE', %3$s, %4$s)
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
    RAISE LOG 'airflow_jobmon: a change to past days was not marked, so all of them are counted again: %%', SQLERRM;
    BEGIN
        PERFORM setval('airflow_jobmon.lost_marks', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
    EXCEPTION WHEN OTHERS THEN
        RAISE LOG 'airflow_jobmon: this failure could not be recorded either: %%', SQLERRM;
    END;
    RETURN NULL;
END $template$,
    format(mapped ->> 'job_name', 'NEW'), format(mapped ->> 'started_at', 'NEW'),
    format(mapped ->> 'job_name', 'OLD'), format(mapped ->> 'started_at', 'OLD'))
$function$;
