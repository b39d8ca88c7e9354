-- When all jobs were last checked, which a check of one job says nothing about.
CREATE TABLE airflow_jobmon.full_checks (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    checked_at timestamptz
) WITH (fillfactor = 50);
INSERT INTO airflow_jobmon.full_checks (checked_at) SELECT max(window_at) FROM airflow_jobmon.job_state;
