-- Runs that were moved out of the job log: the mapped columns as `runs` shows them, and the whole row as it was.
-- No key: an id need not be unique in the user's table, and a run is here or there because one transaction moved it.
CREATE TABLE airflow_jobmon.jobs_log_archive (
    id text NOT NULL,
    job_name text NOT NULL,
    started_at timestamptz NOT NULL,
    completed_at timestamptz,
    records_updated bigint,
    status text NOT NULL,
    error_message text,
    "row" jsonb NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX jobs_log_archive_job_name_started_at ON airflow_jobmon.jobs_log_archive (job_name, started_at DESC);
