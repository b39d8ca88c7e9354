-- What was learned of an unregistered job from its own runs: when the next must have come, by when the last one came.
ALTER TABLE airflow_jobmon.job_state
    ADD COLUMN rhythm jsonb,           -- null: none can be told
    ADD COLUMN rhythm_at timestamptz;  -- when it was last looked for; null = never
