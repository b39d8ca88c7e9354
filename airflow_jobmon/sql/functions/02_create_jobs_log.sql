-- The table that jobs log to, for a user who has none yet. An existing table is left as it is; returns whether one was
-- created.
CREATE OR REPLACE FUNCTION airflow_jobmon.create_jobs_log(jobs_log_table text, columns jsonb) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    parts text[] := airflow_jobmon.table_parts(jobs_log_table);
    names jsonb := '{"id": "id", "job_name": "job_name", "started_at": "started_at", "completed_at": "completed_at",
        "records_updated": "records_updated", "status": "status", "error_message": "error_message"}'::jsonb || columns;
BEGIN
    IF to_regclass(format('%I.%I', parts[1], parts[2])) IS NOT NULL THEN
        RETURN false;
    END IF;
    IF to_regnamespace(quote_ident(parts[1])) IS NULL THEN
        EXECUTE format('CREATE SCHEMA %I', parts[1]);
    END IF;
    EXECUTE format(
        $sql$
        CREATE TABLE %I.%I (
            %I uuid PRIMARY KEY DEFAULT gen_random_uuid(),
            %I text NOT NULL,
            %I timestamptz NOT NULL DEFAULT clock_timestamp(),
            %I timestamptz,
            %I integer,
            %I text NOT NULL DEFAULT 'running',
            %I text
        )
        $sql$,
        parts[1], parts[2], names ->> 'id', names ->> 'job_name', names ->> 'started_at', names ->> 'completed_at',
        names ->> 'records_updated', names ->> 'status', names ->> 'error_message');
    EXECUTE format('CREATE INDEX ON %I.%I (%I, %I DESC)',
        parts[1], parts[2], names ->> 'job_name', names ->> 'started_at');
    RETURN true;
END $$;
