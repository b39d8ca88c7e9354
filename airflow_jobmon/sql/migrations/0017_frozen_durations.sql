-- Of a frozen day each success' duration in seconds, so that percentiles over many days stay what they were when the runs
-- have left the database. NULL where the day was frozen before there was this column.
ALTER TABLE airflow_jobmon.job_days ADD COLUMN durations double precision[];
