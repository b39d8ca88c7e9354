-- For reading, not for running: `airflow jobmon migrate` installs this on a table with the default names, made from the
-- templates in sql/functions/. Written by tests/db/postgres/test_rendered.py.

CREATE OR REPLACE FUNCTION airflow_jobmon.note_failed_run()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '100ms'
AS $function$
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
    IF TG_OP = 'INSERT' AND coalesce(NEW."completed_at", NEW."started_at", now()) <= now() - interval '24 hours' THEN
        RETURN NULL;
    END IF;
    BEGIN
        run_key := to_json(NEW."id");
        run_id := NEW."id"::text::text;
        run_job := NEW."job_name";
        run_started := NEW."started_at";
        run_completed := NEW."completed_at";
        run_error := left(NEW."error_message"::text, 8000);
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
            -- One transaction may fill an eighth of the queue.
            queued_bytes := coalesce(nullif(current_setting('airflow_jobmon.told', true), ''), '0')::bigint
                + octet_length(payload) + 100;
            IF queued_bytes < 1024 * coalesce(current_setting('max_notify_queue_pages', true), '1048576')::bigint THEN
                PERFORM set_config('airflow_jobmon.told', queued_bytes::text, true);
                PERFORM pg_notify('job_failure', payload);
            END IF;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        RAISE LOG 'airflow_jobmon: listeners were not notified of a failed run: %', SQLERRM;
    END;
    RETURN NULL;
END $function$;
