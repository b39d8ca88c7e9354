-- For reading, not for running: `airflow jobmon migrate` installs this on a table with the default names, made from the
-- templates in sql/functions/. Written by tests/db/postgres/test_rendered.py.

CREATE OR REPLACE FUNCTION airflow_jobmon.mark_days()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET lock_timeout TO '100ms'
AS $function$
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
            ('INSERT', NEW."job_name", NEW."started_at"),
            ('DELETE', OLD."job_name", OLD."started_at")
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
        RAISE LOG 'airflow_jobmon: this failure could not be recorded either: %', SQLERRM;
    END;
    RETURN NULL;
END $function$;
