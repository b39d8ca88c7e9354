-- Freezing: makes the counts of days final, for runs that are about to leave the database.

-- Freezes these days of these jobs (pairs), as they are counted now. Call it in the transaction that deletes the runs,
-- under `SET LOCAL airflow_jobmon.archiving = on`. A day that is frozen already stays as it is. Raises an error for a day
-- that ended less than 24 hours ago, since runs that come later would never be counted.
CREATE OR REPLACE FUNCTION airflow_jobmon.freeze_days(jobs text[], days date[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM unnest(days) AS asked (day) WHERE asked.day > airflow_jobmon.last_cold_day()) THEN
        RAISE EXCEPTION 'days up to % can be frozen, not %', airflow_jobmon.last_cold_day(),
            (SELECT max(day) FROM unnest(days) AS asked (day))
            USING HINT = 'keep the runs that started in the last two days';
    END IF;
    INSERT INTO airflow_jobmon.job_days AS d
    SELECT c.*, true, 0, ARRAY(
        SELECT extract(epoch FROM r.completed_at - r.started_at)::double precision
        FROM airflow_jobmon.history r
        WHERE r.job_name = given.job AND NOT r.drill AND r.status = 'success' AND r.completed_at IS NOT NULL
            AND r.started_at >= airflow_jobmon.day_start(given.day)
            AND r.started_at < airflow_jobmon.day_start(given.day + 1))
    FROM (
            SELECT DISTINCT asked.job, asked.day
            FROM unnest(jobs, days) AS asked (job, day)
            WHERE NOT EXISTS (
                SELECT FROM airflow_jobmon.job_days f WHERE f.frozen AND f.job_name = asked.job AND f.day = asked.day)
        ) given,
        LATERAL airflow_jobmon.count_days(
            given.job, airflow_jobmon.day_start(given.day), airflow_jobmon.day_start(given.day + 1)) c
    ORDER BY c.job_name, c.day
    ON CONFLICT (job_name, day) DO UPDATE
    SET (total_runs, successful_runs, failed_runs, timed_runs, duration_sum, duration_min, duration_median,
            duration_p95, duration_max, records_runs, records_sum, records_median, frozen, durations)
        = (excluded.total_runs, excluded.successful_runs, excluded.failed_runs, excluded.timed_runs,
            excluded.duration_sum, excluded.duration_min, excluded.duration_median, excluded.duration_p95,
            excluded.duration_max, excluded.records_runs, excluded.records_sum, excluded.records_median, true,
            excluded.durations)
    WHERE NOT d.frozen;
END $$;
