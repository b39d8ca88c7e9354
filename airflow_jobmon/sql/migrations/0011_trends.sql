-- What got worse about a job by its whole days (findings that are shown and not alerted), and the day it was told for.
ALTER TABLE airflow_jobmon.job_state
    ADD COLUMN trends jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN trends_on date;
