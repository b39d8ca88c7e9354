-- What has been announced of each job whose successes start DAGs, so that a restart announces only what was missed.
CREATE TABLE airflow_jobmon.asset_marks (
    job_name text PRIMARY KEY,
    announced text[] NOT NULL,            -- runs, as id@started_at; at most the job's newest 100
    floor timestamptz,                    -- nothing that started before it is news
    marked_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
