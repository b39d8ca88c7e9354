-- Since when a job has the schedule it has (or is enabled): a slot that lay before was nobody's to keep.
ALTER TABLE airflow_jobmon.jobs
    ADD COLUMN scheduled_since timestamptz;  -- null: since it was registered
