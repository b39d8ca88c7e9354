-- Before the first migration: the schema, and the list of what has been applied to it.
DO $$ BEGIN
    -- Not CREATE SCHEMA IF NOT EXISTS, which asks for rights on the database even if the schema was created for us.
    IF pg_catalog.to_regnamespace('airflow_jobmon') IS NULL THEN
        CREATE SCHEMA airflow_jobmon;
    END IF;
    IF pg_catalog.to_regclass('airflow_jobmon.migrations') IS NULL THEN
        CREATE TABLE airflow_jobmon.migrations (
            version integer PRIMARY KEY,
            name text NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
        );
    END IF;
END $$;
