-- Ties our schema to the user's table: the views of it, the trigger functions, and the triggers.

-- Creates everything but the triggers, stores the settings it was made from, and returns the full name of the table.
-- Takes no lock that a job could wait for.
CREATE OR REPLACE FUNCTION airflow_jobmon.attach(jobs_log_table text, columns jsonb, status_words jsonb)
RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    jobs_log regclass := airflow_jobmon.find_jobs_log(jobs_log_table);
    mapped jsonb := airflow_jobmon.mapping(jobs_log, columns, status_words);
BEGIN
    PERFORM airflow_jobmon.attach_runs(jobs_log, mapped);
    PERFORM airflow_jobmon.attach_history(airflow_jobmon.logged_rows(jobs_log, mapped));
    PERFORM airflow_jobmon.make_trigger_function('note_failed_run', airflow_jobmon.note_failed_run_body(mapped));
    PERFORM airflow_jobmon.make_marking(mapped);
    -- If the log is read differently, all days must be counted again.
    INSERT INTO airflow_jobmon.dirty (job_name, day)
    SELECT NULL, NULL
    FROM airflow_jobmon.installation i
    WHERE (i.jobs_log_table, i.jobs_log_columns, i.status_words) IS DISTINCT FROM (jobs_log::text, columns, status_words);
    UPDATE airflow_jobmon.installation
    SET jobs_log_table = jobs_log::text, jobs_log_columns = columns, status_words = status_words;
    RETURN jobs_log::text;
END $$;

-- Every trigger that belongs on the job log and on the archive. The WHEN clauses keep everything else out: a run that
-- succeeds calls no function of ours. They are short, since the server parses them again for each statement of a job.
-- Dropped first, since an older version had other columns.
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

-- Creates the triggers on the table that `attach` named, and drops them from any other; returns what it did. If they are
-- already right, it takes no lock; otherwise it takes one that writers wait for, so set a short lock_timeout.
CREATE OR REPLACE FUNCTION airflow_jobmon.attach_triggers() RETURNS SETOF text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    jobs_log regclass;
    mapped jsonb;
    installed_digests text;
    digests text;
    wanted record;
    enabled "char";
    was_unmarked boolean := false;
BEGIN
    SELECT i.jobs_log, i.mapped INTO jobs_log, mapped FROM airflow_jobmon.installed_mapping() i;
    SELECT i.triggers INTO installed_digests FROM airflow_jobmon.installation i;
    RETURN QUERY SELECT airflow_jobmon.remove_triggers_elsewhere(jobs_log, mapped);
    FOR wanted IN SELECT * FROM airflow_jobmon.trigger_definitions(jobs_log, mapped) LOOP
        digests := concat_ws(' ', digests, md5(wanted.definition));
        SELECT t.tgenabled INTO enabled
        FROM pg_trigger t
        WHERE t.tgrelid = wanted.relation AND t.tgname = wanted.name AND t.tgfoid = wanted.function::regproc;
        IF FOUND AND installed_digests LIKE '%' || md5(wanted.definition) || '%' THEN
            CONTINUE;
        END IF;
        EXECUTE format('CREATE OR REPLACE TRIGGER %I %s EXECUTE FUNCTION %s()',
            wanted.name, wanted.definition, wanted.function);
        -- A trigger that the user disabled, or enabled in another way, stays so when it is replaced.
        IF enabled IN ('D', 'A', 'R') THEN
            EXECUTE format('ALTER TABLE %s %s TRIGGER %I', wanted.relation,
                CASE enabled WHEN 'D' THEN 'DISABLE' WHEN 'A' THEN 'ENABLE ALWAYS' ELSE 'ENABLE REPLICA' END,
                wanted.name);
        END IF;
        RETURN NEXT format('trigger %s created on %s', wanted.name, wanted.relation);
        was_unmarked := was_unmarked OR wanted.function <> 'airflow_jobmon.note_failed_run';
    END LOOP;
    -- While a marking trigger was missing, days may have changed unmarked: all of them are counted again.
    IF was_unmarked THEN
        INSERT INTO airflow_jobmon.dirty DEFAULT VALUES;
    END IF;
    UPDATE airflow_jobmon.installation SET triggers = digests WHERE triggers IS DISTINCT FROM digests;
END $$;

-- Drops our triggers from every table that should have none, such as one that was the job log before.
CREATE OR REPLACE FUNCTION airflow_jobmon.remove_triggers_elsewhere(jobs_log regclass, mapped jsonb) RETURNS SETOF text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    stale record;
BEGIN
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
END $$;
