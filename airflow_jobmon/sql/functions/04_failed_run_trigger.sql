-- The function that notes failed runs. Created again by every migrate; nothing in here holds data.

-- The body of the trigger function, for a table that is read as `mapped` says. What it must never do: raise an error,
-- wait, touch the session's lastval() or random(), or update a row that somebody else may hold.
CREATE OR REPLACE FUNCTION airflow_jobmon.note_failed_run_body(mapped jsonb) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $body$
SELECT $head$
#variable_conflict use_variable
DECLARE
    run_key json;
    run_id text;
    run_job text;
    run_started timestamptz;
    run_completed timestamptz;
    run_error text;
    payload text;
    told bigint;
BEGIN
$head$
-- Old rows that are loaded in bulk are not news. The trigger's condition could say so, but each run that succeeds would
-- pay for that.
|| '    IF TG_OP = ''INSERT'' AND coalesce(' || format(mapped ->> 'completed_at', 'NEW') || ', '
|| format(mapped ->> 'started_at', 'NEW') || ', now()) <= now() - interval ''24 hours'' THEN' || E'\n'
|| $recent$        RETURN NULL;
    END IF;
    BEGIN
$recent$
|| '        run_key := to_json(' || format(mapped ->> 'id_raw', 'NEW') || ');' || E'\n'
|| '        run_id := ' || format(mapped ->> 'id', 'NEW') || '::text;' || E'\n'
|| '        run_job := ' || format(mapped ->> 'job_name', 'NEW') || ';' || E'\n'
|| '        run_started := ' || format(mapped ->> 'started_at', 'NEW') || ';' || E'\n'
|| '        run_completed := ' || format(mapped ->> 'completed_at', 'NEW') || ';' || E'\n'
|| '        run_error := left(' || format(mapped ->> 'error_message', 'NEW') || '::text, 8000);' || E'\n'
|| $tail$
        IF run_job IS NULL OR run_id IS NULL THEN
            RETURN NULL;
        END IF;
        -- Once the table was found locked, the rest of the transaction leaves its runs to the sweep.
        IF current_setting('airflow_jobmon.tripped', true) IS DISTINCT FROM 'on' THEN
            LOCK TABLE airflow_jobmon.events IN ROW EXCLUSIVE MODE NOWAIT;
            INSERT INTO airflow_jobmon.events (run_id, job_name, started_at, completed_at, error_message)
            VALUES (run_id, run_job, run_started, run_completed, left(run_error, 4000));
        END IF;
    EXCEPTION
        WHEN lock_not_available THEN
            PERFORM set_config('airflow_jobmon.tripped', 'on', true);
        WHEN OTHERS THEN
            RAISE LOG 'airflow_jobmon: a failed run was left to the sweep: %', SQLERRM;
    END;
    -- A transaction that has notified cannot be prepared, and one that finds the queue full cannot commit.
    IF lower(current_setting('airflow_jobmon.notify', true)) IN ('off', 'false', 'no', '0') THEN
        RETURN NULL;
    END IF;
    BEGIN
        IF pg_notification_queue_usage() < 0.5 THEN
            PERFORM pg_notify('airflow_jobmon', '');
            payload := airflow_jobmon.job_failure_payload(run_key, run_job, run_error, now());
            -- What this transaction alone may put in the queue: an eighth of it.
            told := coalesce(nullif(current_setting('airflow_jobmon.told', true), ''), '0')::bigint
                + octet_length(payload) + 100;
            IF told < 1024 * coalesce(current_setting('max_notify_queue_pages', true), '1048576')::bigint THEN
                PERFORM set_config('airflow_jobmon.told', told::text, true);
                PERFORM pg_notify('job_failure', payload);
            END IF;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        RAISE LOG 'airflow_jobmon: a failed run was not notified: %', SQLERRM;
    END;
    RETURN NULL;
END $tail$
$body$;

-- What listeners of `job_failure` get: valid JSON below NOTIFY's limit of 8000 bytes, whatever is in the run. Names
-- and ids are cut only where they are absurdly long; the error is cut to what is left.
CREATE OR REPLACE FUNCTION airflow_jobmon.job_failure_payload(
    run_key json, run_job text, run_error text, alert_time timestamptz
) RETURNS text
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_variable
DECLARE
    payload text;
    error_bytes integer;
    cut text := left(run_error, 8000);
BEGIN
    IF octet_length(run_key::text) > 500 THEN
        run_key := to_json(left(run_key #>> '{}', 80));
    END IF;
    IF octet_length(to_json(left(run_job, 2000))::text) > 2000 OR char_length(run_job) > 2000 THEN
        run_job := left(run_job, 300);
    END IF;
    LOOP
        payload := json_build_object(
            'id', run_key, 'job_name', run_job, 'error_message', cut, 'alert_time', alert_time)::text;
        IF octet_length(payload) < 8000 THEN
            RETURN payload;
        ELSIF coalesce(cut, '') = '' THEN
            RETURN NULL;  -- cannot be, with the cuts above; but a loop without an end would stop the job
        END IF;
        error_bytes := octet_length(to_json(cut)::text);
        cut := left(cut, greatest(0,
            char_length(cut) * (7999 - octet_length(payload) + error_bytes) / error_bytes - 1));
    END LOOP;
END $$;
