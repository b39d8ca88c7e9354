-- What /metrics shows of a job besides its verdict, stored so that a scrape reads one row a job.
ALTER TABLE airflow_jobmon.job_state
    ADD COLUMN last_success_at timestamptz,      -- when the newest successful run started
    ADD COLUMN duration_p50 double precision,    -- seconds: of the last 30 days' medians the median
    ADD COLUMN duration_p95 double precision;    -- seconds: of the last 30 days' 95th percentiles the median
