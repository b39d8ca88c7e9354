-- Filling: how seal() counts the days of all jobs, a week at a time and a batch of jobs at each step.

-- One step of a filling, or the start of the next one.
CREATE OR REPLACE FUNCTION airflow_jobmon.fill(state airflow_jobmon.sealing, cold date) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    began timestamptz := clock_timestamp();
    took interval;
    jobs integer;
    last_job text;
BEGIN
    IF state.filling_from IS NULL THEN
        RETURN airflow_jobmon.start_filling(state, cold);
    END IF;
    SELECT b.jobs, b.last_job INTO jobs, last_job FROM airflow_jobmon.fill_batch(state) b;
    took := clock_timestamp() - began;
    UPDATE airflow_jobmon.sealing
    SET filled_to = coalesce(last_job, filled_to),
        -- A step is to take 100 to 300 ms.
        batch = CASE WHEN took > interval '300 ms' THEN greatest(state.batch / 2, 1)
            WHEN took < interval '100 ms' THEN least(state.batch * 2, 1000) ELSE state.batch END;
    IF jobs < state.batch THEN
        PERFORM airflow_jobmon.fill_done(state);
    END IF;
    RETURN true;
END $$;

-- Chooses the days to count next; false if all are counted. Days that are older than 400 days are not sealed: they are
-- counted from the log each time they are read.
CREATE OR REPLACE FUNCTION airflow_jobmon.start_filling(state airflow_jobmon.sealing, cold date) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    oldest date := cold - 400;
    first_day date;
    last_day date;
BEGIN
    IF state.sealed_from < oldest THEN
        UPDATE airflow_jobmon.sealing SET sealed_from = oldest;
        DELETE FROM airflow_jobmon.job_days WHERE day >= state.sealed_from AND day < oldest AND NOT frozen;
        RETURN true;
    END IF;
    SELECT f.first_day, f.last_day INTO first_day, last_day FROM airflow_jobmon.next_filling(state, oldest) f;
    IF first_day IS NULL THEN
        RETURN false;
    END IF;
    UPDATE airflow_jobmon.sealing
    SET filling_from = first_day, filling_through = last_day, filled_to = NULL,
        filling_marks = ARRAY(
            SELECT id FROM airflow_jobmon.dirty WHERE job_name IS NULL AND day BETWEEN first_day AND last_day),
        generation = generation + 1;
    RETURN true;
END $$;

-- Up to a week of days to count next: first those that are marked for all jobs, then those that have turned cold, then
-- back through the history. Null if there are none.
CREATE OR REPLACE FUNCTION airflow_jobmon.next_filling(
    state airflow_jobmon.sealing, oldest date, OUT first_day date, OUT last_day date
)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT min(day) INTO first_day
    FROM airflow_jobmon.dirty
    WHERE job_name IS NULL AND day BETWEEN state.sealed_from AND state.sealed_through;
    IF first_day IS NOT NULL THEN
        last_day := least(first_day + 6, state.sealed_through);
    ELSIF state.sealed_through IS NULL THEN
        first_day := state.barrier_day - 6;
        last_day := state.barrier_day;
    ELSIF state.sealed_through < state.barrier_day THEN
        first_day := state.sealed_through + 1;
        last_day := least(state.sealed_through + 7, state.barrier_day);
    ELSIF state.sealed_from > oldest THEN
        first_day := greatest(state.sealed_from - 7, oldest);
        last_day := state.sealed_from - 1;
    END IF;
END $$;

-- Counts the next jobs, by name. One statement, so one snapshot.
CREATE OR REPLACE FUNCTION airflow_jobmon.fill_batch(state airflow_jobmon.sealing, OUT jobs integer, OUT last_job text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    WITH RECURSIVE name AS (
        -- Two queries for the first name, since one condition with OR would not use the index.
        SELECT begun.job_name, 1 AS n
        FROM (
            (
                SELECT r.job_name FROM airflow_jobmon.history r WHERE state.filled_to IS NULL
                ORDER BY r.job_name LIMIT 1
            )
            UNION ALL
            (
                SELECT r.job_name FROM airflow_jobmon.history r WHERE r.job_name > state.filled_to
                ORDER BY r.job_name LIMIT 1
            )
        ) begun
        UNION ALL
        SELECT (
                SELECT r.job_name FROM airflow_jobmon.history r WHERE r.job_name > name.job_name
                ORDER BY r.job_name LIMIT 1
            ), name.n + 1
        FROM name
        WHERE name.job_name IS NOT NULL AND name.n < state.batch
    ), counted AS MATERIALIZED (
        SELECT c.*
        FROM name, LATERAL airflow_jobmon.count_days(name.job_name, airflow_jobmon.day_start(state.filling_from),
            airflow_jobmon.day_start(state.filling_through + 1)) c
        WHERE octet_length(name.job_name) <= 2600  -- a longer one fits into no index of ours
    ), stored AS (
        INSERT INTO airflow_jobmon.job_days AS d
        SELECT counted.*, false, state.generation FROM counted
        ON CONFLICT (job_name, day) DO UPDATE
        SET (total_runs, successful_runs, failed_runs, timed_runs, duration_sum, duration_min, duration_median,
                duration_p95, duration_max, records_runs, records_sum, records_median, generation)
            = (excluded.total_runs, excluded.successful_runs, excluded.failed_runs, excluded.timed_runs,
                excluded.duration_sum, excluded.duration_min, excluded.duration_median, excluded.duration_p95,
                excluded.duration_max, excluded.records_runs, excluded.records_sum, excluded.records_median,
                excluded.generation)
        WHERE NOT d.frozen
    )
    SELECT count(name.job_name), (array_agg(name.job_name ORDER BY name.n DESC) FILTER (WHERE name.job_name IS NOT NULL))[1]
    INTO jobs, last_job
    FROM name;
END $$;

-- Ends a filling: its days are sealed from now on, and the marks that it began with are settled.
CREATE OR REPLACE FUNCTION airflow_jobmon.fill_done(state airflow_jobmon.sealing) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Jobs that no longer have a run on such a day.
    DELETE FROM airflow_jobmon.job_days
    WHERE day BETWEEN state.filling_from AND state.filling_through AND generation < state.generation AND NOT frozen;
    DELETE FROM airflow_jobmon.dirty WHERE id = ANY (state.filling_marks);
    UPDATE airflow_jobmon.sealing
    SET filling_from = NULL, filling_through = NULL, filled_to = NULL, filling_marks = '{}',
        sealed_from = least(sealed_from, state.filling_from),
        sealed_through = greatest(sealed_through, state.filling_through);
END $$;
