-- Of a job that the log showed at the first migration, when its newest run then had started: later ones are news, however
-- old the times in them.
ALTER TABLE airflow_jobmon.job_state ADD COLUMN found_started_at timestamptz;
