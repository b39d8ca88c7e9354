-- What happens when a run fails: an event is stored and listeners are notified, in the transaction of the job.

-- Creates a trigger function. It runs with the rights of its owner, ignores the job's search_path, and does not wait
-- long for any lock.
CREATE OR REPLACE FUNCTION airflow_jobmon.make_trigger_function(name text, body text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format(
        $sql$
        CREATE OR REPLACE FUNCTION airflow_jobmon.%I() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS %L
        $sql$,
        name, body);
END $$;

-- The body of the trigger function for failed runs, for a table that is read as `mapped` says; sql/rendered/ shows the
-- result. It must never raise an error, wait, change the session's lastval() or random(), or update a row that another
-- session may hold.
CREATE OR REPLACE FUNCTION airflow_jobmon.note_failed_run_body(mapped jsonb) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $function$
SELECT format($template$
#variable_conflict use_variable
DECLARE
    run_key json;
    run_id text;
    run_job text;
    run_started timestamptz;
    run_completed timestamptz;
    run_error text;
    payload text;
    queued_bytes bigint;
BEGIN
    -- Old rows that are loaded in bulk do not alert. The trigger's WHEN could say so, at a cost for every run that
    -- succeeds.
    IF TG_OP = 'INSERT' AND coalesce(%5$s, %4$s, now()) <= now() - interval '24 hours' THEN
        RETURN NULL;
    END IF;
    BEGIN
        run_key := to_json(%1$s);
        run_id := %2$s::text;
        run_job := %3$s;
        run_started := %4$s;
        run_completed := %5$s;
        run_error := left(%6$s::text, 8000);
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
            RAISE LOG 'airflow_jobmon: a failed run was left to the sweep: %%', SQLERRM;
    END;
    -- A transaction that has notified cannot be prepared, and one that finds the queue full cannot commit.
    IF lower(current_setting('airflow_jobmon.notify', true)) IN ('off', 'false', 'no', '0') THEN
        RETURN NULL;
    END IF;
    BEGIN
        IF pg_notification_queue_usage() < 0.5 THEN
            PERFORM pg_notify('airflow_jobmon', '');
            payload := airflow_jobmon.job_failure_payload(run_key, run_job, run_error, now());
            -- One transaction may fill an eighth of the queue.
            queued_bytes := coalesce(nullif(current_setting('airflow_jobmon.told', true), ''), '0')::bigint
                + octet_length(payload) + 100;
            IF queued_bytes < 1024 * coalesce(current_setting('max_notify_queue_pages', true), '1048576')::bigint THEN
                PERFORM set_config('airflow_jobmon.told', queued_bytes::text, true);
                PERFORM pg_notify('job_failure', payload);
            END IF;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        RAISE LOG 'airflow_jobmon: listeners were not notified of a failed run: %%', SQLERRM;
    END;
    RETURN NULL;
END $template$,
    format(mapped ->> 'id_raw', 'NEW'), format(mapped ->> 'id', 'NEW'), format(mapped ->> 'job_name', 'NEW'),
    format(mapped ->> 'started_at', 'NEW'), format(mapped ->> 'completed_at', 'NEW'),
    format(mapped ->> 'error_message', 'NEW'))
$function$;

-- What listeners of `job_failure` get: valid JSON below NOTIFY's limit of 8,000 bytes, whatever the run contains. A name
-- or an id is cut only if it is extremely long; the error is cut to what fits.
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
            RETURN NULL;  -- impossible after the cuts above, but an endless loop would stop the job
        END IF;
        error_bytes := octet_length(to_json(cut)::text);
        cut := left(cut, greatest(0,
            char_length(cut) * (7999 - octet_length(payload) + error_bytes) / error_bytes - 1));
    END LOOP;
END $$;
