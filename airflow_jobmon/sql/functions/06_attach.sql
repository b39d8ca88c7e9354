-- What ties our schema to the user's table: the view that everything reads, and the triggers that note failed runs.
-- Created again by every migrate; nothing in here holds data.

-- The view, the trigger's function, and the settings they were made from; returns the table's full name. Takes no lock that a job could wait for.
CREATE OR REPLACE FUNCTION airflow_jobmon.attach(jobs_log_table text, columns jsonb, status_words jsonb)
RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    jobs_log regclass := airflow_jobmon.find_jobs_log(jobs_log_table);
    mapped jsonb := airflow_jobmon.mapping(jobs_log, columns, status_words);
    shown text;
BEGIN
    -- Moments that other programs cannot hold (infinity, before Christ) would keep them from reading all the others.
    shown := 'SELECT '
        || format(mapped ->> 'id', 'log') || '::text AS id, '
        || format(mapped ->> 'job_name', 'log') || ' AS job_name, '
        || format(mapped ->> 'started_at', 'log') || '::timestamptz AS started_at, '
        || format('CASE WHEN %1$s >= ''0001-01-01 00:00+00'' AND %1$s < ''9999-12-31 00:00+00'' THEN %1$s END',
            format(mapped ->> 'completed_at', 'log')) || '::timestamptz AS completed_at, '
        || '(' || format(mapped ->> 'records_updated', 'log') || ')::bigint AS records_updated, '
        || '(' || format(mapped ->> 'status', 'log') || ')::text AS status, '
        || format(mapped ->> 'error_message', 'log') || '::text AS error_message, '
        || format('coalesce(%s AND left(%s::text, 10) = ''TEST ALERT'', false) AS drill',
            format(mapped ->> 'failed', 'log'), format(mapped ->> 'error_message', 'log'))
        || ' FROM ' || jobs_log || ' AS log';
    EXECUTE 'CREATE OR REPLACE VIEW airflow_jobmon.runs AS ' || shown || ' WHERE '
        || format('%s IS NOT NULL AND %s IS NOT NULL'
            ' AND %s >= ''0001-01-01 00:00+00'' AND %3$s < ''9999-12-31 00:00+00''',
            format(mapped ->> 'id_raw', 'log'), format(mapped ->> 'job_name', 'log'),
            format(mapped ->> 'started_at', 'log'));
    PERFORM airflow_jobmon.attach_history(shown);
    EXECUTE format(
        'CREATE OR REPLACE FUNCTION airflow_jobmon.note_failed_run() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER '
        'SET search_path = pg_catalog, pg_temp SET lock_timeout = ''100ms'' AS %L',
        airflow_jobmon.note_failed_run_body(mapped));
    PERFORM airflow_jobmon.make_marking(mapped);
    -- Read differently, all days must be counted anew.
    INSERT INTO airflow_jobmon.dirty (job_name, day)
    SELECT NULL, NULL
    FROM airflow_jobmon.installation i
    WHERE (i.jobs_log_table, i.jobs_log_columns, i.status_words) IS DISTINCT FROM (jobs_log::text, columns, status_words);
    UPDATE airflow_jobmon.installation
    SET jobs_log_table = jobs_log::text, jobs_log_columns = columns, status_words = status_words;
    RETURN jobs_log::text;
END $$;

-- Puts the triggers on the table that `attach` named, and takes them off any other; says what it did. Where they are
-- already right it takes no lock; otherwise CREATE takes one that writers wait for, so set a short lock_timeout.
CREATE OR REPLACE FUNCTION airflow_jobmon.attach_triggers() RETURNS SETOF text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    jobs_log regclass;
    mapped jsonb;
    made_from text;
    digest text;
    stale record;
    wanted record;
    enabled "char";
    unmarked boolean := false;
BEGIN
    SELECT i.jobs_log_table::regclass,
        airflow_jobmon.mapping(i.jobs_log_table::regclass, i.jobs_log_columns, i.status_words), i.triggers
    INTO jobs_log, mapped, made_from
    FROM airflow_jobmon.installation i;
    FOR stale IN
        SELECT t.tgname, t.tgrelid::regclass AS relation
        FROM pg_trigger t
        WHERE t.tgfoid IN ('airflow_jobmon.note_failed_run'::regproc, 'airflow_jobmon.mark_days'::regproc,
                'airflow_jobmon.mark_archived_days'::regproc)
            AND t.tgparentid = 0
            AND t.tgrelid NOT IN (SELECT w.relation FROM airflow_jobmon.trigger_definitions(jobs_log, mapped) w)
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', stale.tgname, stale.relation);
        RETURN NEXT format('trigger %s removed from %s', stale.tgname, stale.relation);
    END LOOP;
    FOR wanted IN SELECT * FROM airflow_jobmon.trigger_definitions(jobs_log, mapped) LOOP
        digest := concat_ws(' ', digest, md5(wanted.definition));
        SELECT t.tgenabled INTO enabled
        FROM pg_trigger t
        WHERE t.tgrelid = wanted.relation AND t.tgname = wanted.name AND t.tgfoid = wanted.function::regproc;
        IF FOUND AND made_from LIKE '%' || md5(wanted.definition) || '%' THEN
            CONTINUE;
        END IF;
        EXECUTE format('CREATE OR REPLACE TRIGGER %I %s EXECUTE FUNCTION %s()',
            wanted.name, wanted.definition, wanted.function);
        -- A choice that somebody made about it outlives its replacement.
        IF enabled IN ('D', 'A', 'R') THEN
            EXECUTE format('ALTER TABLE %s %s TRIGGER %I', wanted.relation,
                CASE enabled WHEN 'D' THEN 'DISABLE' WHEN 'A' THEN 'ENABLE ALWAYS' ELSE 'ENABLE REPLICA' END,
                wanted.name);
        END IF;
        RETURN NEXT format('trigger %s put on %s', wanted.name, wanted.relation);
        unmarked := unmarked OR wanted.function <> 'airflow_jobmon.note_failed_run';
    END LOOP;
    -- While one was missing, days may have changed unmarked.
    IF unmarked THEN
        INSERT INTO airflow_jobmon.dirty DEFAULT VALUES;
    END IF;
    UPDATE airflow_jobmon.installation SET triggers = digest WHERE triggers IS DISTINCT FROM digest;
END $$;

-- The WHEN clauses keep everything else out: a run that succeeds calls no function of ours. They are short, since the
-- server reads them anew for each statement of a job. Dropped first, since an older one had other columns.
DROP FUNCTION IF EXISTS airflow_jobmon.trigger_definitions(regclass, jsonb);
CREATE OR REPLACE FUNCTION airflow_jobmon.trigger_definitions(jobs_log regclass, mapped jsonb)
RETURNS TABLE (relation regclass, name text, definition text, function text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    VALUES (
        jobs_log, 'airflow_jobmon_failed_insert',
        format('AFTER INSERT ON %s FOR EACH ROW WHEN (%s)', jobs_log, format(mapped ->> 'failed', 'NEW')),
        'airflow_jobmon.note_failed_run'
    ), (
        jobs_log, 'airflow_jobmon_failed_update',
        format('AFTER UPDATE ON %s FOR EACH ROW WHEN (%s AND (%s) IS NOT TRUE)',
            jobs_log, format(mapped ->> 'failed', 'NEW'), format(mapped ->> 'failed', 'OLD')),
        'airflow_jobmon.note_failed_run'
    )
    UNION ALL
    SELECT m.relation, m.name, m.definition, m.function
    FROM airflow_jobmon.marking_triggers(jobs_log, mapped) m
$$;
