-- What each job did on each UTC day: counted once for days that are sealed, from the log itself for all others. So the
-- result is exactly that of a plain count, at a cost that does not grow with the history.
-- A day is sealed 48 hours after it began (functions/16_sealing.sql). From then on a trigger marks each change in
-- `dirty`, and a marked day is counted from the log again. One statement reads all of this under one snapshot.

-- Subqueries such as (SELECT NOT EXISTS (...)) ask once per query whether anything is marked or frozen at all, so that
-- nothing is looked up for each row in the usual case that nothing is.

-- The days whose stored counts are valid: none while there is a mark without a day.
CREATE OR REPLACE VIEW airflow_jobmon.sealed_range AS
SELECT airflow_jobmon.day_start(sealed_from) AS since, airflow_jobmon.day_start(sealed_through + 1) AS until,
    sealed_from, sealed_through
FROM airflow_jobmon.sealing
WHERE NOT EXISTS (SELECT FROM airflow_jobmon.dirty WHERE job_name IS NULL AND day IS NULL);

-- One frozen day, if there is any. The ORDER BY makes the planner use the index of frozen days even while it has no
-- statistics and assumes that half of all days are frozen.
CREATE OR REPLACE VIEW airflow_jobmon.any_frozen AS
SELECT job_name, day FROM airflow_jobmon.job_days WHERE frozen ORDER BY job_name, day LIMIT 1;

-- The stored counts: of sealed days that are not marked, and of frozen days.
CREATE OR REPLACE VIEW airflow_jobmon.sealed_days AS
SELECT d.*
FROM airflow_jobmon.job_days d
WHERE NOT d.frozen
    AND d.day >= (SELECT sealed_from FROM airflow_jobmon.sealed_range)
    AND d.day <= (SELECT sealed_through FROM airflow_jobmon.sealed_range)
    AND ((SELECT NOT EXISTS (SELECT FROM airflow_jobmon.dirty)) OR NOT EXISTS (
        SELECT FROM airflow_jobmon.dirty x WHERE x.day = d.day AND (x.job_name = d.job_name OR x.job_name IS NULL)))
UNION ALL
SELECT d.*
FROM airflow_jobmon.job_days d
WHERE d.frozen;

-- The runs of all other days: newer than the sealed days, older, marked for one job, and marked for all jobs.
CREATE OR REPLACE VIEW airflow_jobmon.unsealed_runs AS
SELECT u.*, airflow_jobmon.day_of(u.started_at) AS day
FROM (
    SELECT r.*
    FROM airflow_jobmon.history r
    WHERE r.started_at >= coalesce((SELECT until FROM airflow_jobmon.sealed_range), '-infinity')
    UNION ALL
    SELECT r.*
    FROM airflow_jobmon.history r
    WHERE r.started_at < (SELECT since FROM airflow_jobmon.sealed_range)
    UNION ALL
    SELECT r.*
    FROM (SELECT DISTINCT job_name, day FROM airflow_jobmon.dirty WHERE job_name IS NOT NULL) x
    JOIN airflow_jobmon.history r ON r.job_name = x.job_name
        AND r.started_at >= airflow_jobmon.day_start(x.day) AND r.started_at < airflow_jobmon.day_start(x.day + 1)
    WHERE x.day >= (SELECT sealed_from FROM airflow_jobmon.sealed_range)
        AND x.day <= (SELECT sealed_through FROM airflow_jobmon.sealed_range)
        AND NOT EXISTS (SELECT FROM airflow_jobmon.dirty wide WHERE wide.job_name IS NULL AND wide.day = x.day)
    UNION ALL
    SELECT r.*
    FROM (SELECT DISTINCT day FROM airflow_jobmon.dirty WHERE job_name IS NULL) x
    JOIN airflow_jobmon.history r
        ON r.started_at >= airflow_jobmon.day_start(x.day) AND r.started_at < airflow_jobmon.day_start(x.day + 1)
    WHERE x.day >= (SELECT sealed_from FROM airflow_jobmon.sealed_range)
        AND x.day <= (SELECT sealed_through FROM airflow_jobmon.sealed_range)
) u
WHERE NOT u.drill
    AND ((SELECT NOT EXISTS (SELECT FROM airflow_jobmon.any_frozen)) OR NOT EXISTS (
        SELECT FROM airflow_jobmon.job_days f
        WHERE f.frozen AND f.job_name = u.job_name AND f.day = airflow_jobmon.day_of(u.started_at)));

CREATE OR REPLACE VIEW airflow_jobmon.days AS
SELECT job_name, day, total_runs, successful_runs, failed_runs, timed_runs,
    duration_sum, duration_min, duration_median, duration_p95, duration_max,
    records_runs, records_sum, records_median
FROM airflow_jobmon.sealed_days
UNION ALL
SELECT job_name, day, total_runs, successful_runs, failed_runs, timed_runs,
    duration_sum, duration_min, duration_median, duration_p95, duration_max,
    records_runs, records_sum, records_median
FROM (
    SELECT job_name, day,
        count(*)::integer AS total_runs,
        (count(*) FILTER (WHERE status = 'success'))::integer AS successful_runs,
        (count(*) FILTER (WHERE status = 'failed'))::integer AS failed_runs,
        count(seconds)::integer AS timed_runs,
        sum(seconds) AS duration_sum,
        min(seconds) AS duration_min,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds) AS duration_median,
        percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS duration_p95,
        max(seconds) AS duration_max,
        count(records)::integer AS records_runs,
        sum(records) AS records_sum,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY records::double precision) AS records_median
    FROM airflow_jobmon.unsealed_runs,
        LATERAL (
            SELECT CASE status WHEN 'success' THEN extract(epoch FROM completed_at - started_at)::double precision END,
                CASE status WHEN 'success' THEN records_updated END
        ) of_success (seconds, records)
    GROUP BY job_name, day
) counted;
COMMENT ON VIEW airflow_jobmon.days IS
    'Each job and UTC day on which runs started; durations (seconds) and records are those of successes';
