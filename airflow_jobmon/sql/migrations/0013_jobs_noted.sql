-- Whether the jobs that the log showed at the first migration have been noted; they are where somebody has judged already.
ALTER TABLE airflow_jobmon.installation ADD COLUMN jobs_noted boolean NOT NULL DEFAULT false;
UPDATE airflow_jobmon.installation SET jobs_noted = EXISTS (SELECT FROM airflow_jobmon.job_state);
