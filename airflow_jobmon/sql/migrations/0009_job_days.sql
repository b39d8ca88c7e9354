-- Each job's whole UTC days, counted once: days.sql says how they are read, sealing.sql how they are made and kept right.
CREATE TABLE airflow_jobmon.job_days (
    job_name text NOT NULL,
    day date NOT NULL,
    total_runs integer NOT NULL,          -- by the day they started, drills left out
    successful_runs integer NOT NULL,
    failed_runs integer NOT NULL,
    timed_runs integer NOT NULL,          -- successes whose end is known; seconds are theirs
    duration_sum double precision,
    duration_min double precision,
    duration_median double precision,
    duration_p95 double precision,
    duration_max double precision,
    records_runs integer NOT NULL,        -- successes that said how many records; records are theirs
    records_sum numeric,
    records_median double precision,
    frozen boolean NOT NULL DEFAULT false,  -- some of its runs are nowhere any more: never counted again
    generation bigint NOT NULL DEFAULT 0,   -- the filling that counted it
    PRIMARY KEY (job_name, day) INCLUDE (successful_runs, failed_runs, frozen)
) WITH (vacuum_truncate = off, autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX job_days_day ON airflow_jobmon.job_days USING brin (day) WITH (pages_per_range = 16);
CREATE INDEX job_days_frozen ON airflow_jobmon.job_days (job_name, day) WHERE frozen;

-- Append only, written by triggers on the job log in the transaction that changed it: what was counted of this day of this job may
-- no longer be so. Without a job: of any job. Without a day: of any day.
CREATE TABLE airflow_jobmon.dirty (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_name text,
    day date,
    CHECK (job_name IS NULL OR day IS NOT NULL)
) WITH (vacuum_truncate = off, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
CREATE INDEX dirty_job_day ON airflow_jobmon.dirty (job_name, day);
CREATE INDEX dirty_wide ON airflow_jobmon.dirty (day) WHERE job_name IS NULL;

-- Moved (to a time, outside any transaction) by a trigger that could not write to `dirty`.
CREATE SEQUENCE airflow_jobmon.lost_marks;

-- One row: the days from sealed_from to sealed_through are counted, of all jobs; and the filling that is under way.
CREATE TABLE airflow_jobmon.sealing (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    sealed_from date,
    sealed_through date,
    barrier xid8,                         -- once all transactions up to it are over, days to barrier_day may be counted
    barrier_day date,
    filling_from date,
    filling_through date,
    filled_to text,                       -- the jobs up to this name are done
    filling_marks uuid[] NOT NULL DEFAULT '{}',  -- marks that the filling settles
    generation bigint NOT NULL DEFAULT 0,
    batch integer NOT NULL DEFAULT 100,   -- jobs counted at a time
    members oid[] NOT NULL DEFAULT '{}',  -- the tables that the job log consists of
    lost_marks bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO airflow_jobmon.sealing DEFAULT VALUES;
