-- Alert drills: what was tried and what came of it, and what a drill that was killed left to be removed.

CREATE TABLE airflow_jobmon.drills (
    id uuid PRIMARY KEY,
    drill text NOT NULL,                  -- failure | missed | end-to-end
    job_name text NOT NULL,
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),  -- while it runs it says so
    backend_pid integer NOT NULL DEFAULT pg_backend_pid(),
    run_id text,                          -- of the failed run that it put in the job log
    ended_at timestamptz,                 -- null: it runs, or it was killed and has left things behind
    passed boolean,
    steps jsonb NOT NULL DEFAULT '[]'     -- what it printed
);
CREATE INDEX drills_began_at ON airflow_jobmon.drills (began_at);
CREATE INDEX drills_open ON airflow_jobmon.drills (began_at) WHERE ended_at IS NULL;

-- What a killed drill must be undone by: the schedule it took off pg_cron, the test data it made. A later drill acts on
-- it with its own rights, so nobody but the owner may write it (see grants.sql).
CREATE TABLE airflow_jobmon.drill_leftovers (
    drill_id uuid PRIMARY KEY REFERENCES airflow_jobmon.drills ON DELETE CASCADE,
    cron_job jsonb,
    test_data jsonb
);
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'jobmon_operator') THEN
        REVOKE INSERT, UPDATE, DELETE ON airflow_jobmon.drill_leftovers FROM jobmon_operator;
    END IF;
END $$;
