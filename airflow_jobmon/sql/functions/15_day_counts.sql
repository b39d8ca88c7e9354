-- Counts over the days of a job: from `job_days` where a day is sealed, from the log itself elsewhere (13_days.sql).

-- Counts the days of one job from the log, by the runs that started at `since` or later and before `until`: all of them,
-- as sealing does, or only those of days that are not sealed.
CREATE OR REPLACE FUNCTION airflow_jobmon.count_days(
    job text, since timestamptz, until timestamptz, unsealed_only boolean DEFAULT false
) RETURNS TABLE (
    job_name text, day date, total_runs integer, successful_runs integer, failed_runs integer, timed_runs integer,
    duration_sum double precision, duration_min double precision, duration_median double precision,
    duration_p95 double precision, duration_max double precision,
    records_runs integer, records_sum numeric, records_median double precision)
LANGUAGE sql STABLE AS $$
    SELECT job, airflow_jobmon.day_of(run.started_at),
        count(*)::integer,
        (count(*) FILTER (WHERE run.status = 'success'))::integer,
        (count(*) FILTER (WHERE run.status = 'failed'))::integer,
        count(seconds)::integer,
        sum(seconds),
        min(seconds),
        percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds),
        percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds),
        max(seconds),
        count(records)::integer,
        sum(records),
        percentile_cont(0.5) WITHIN GROUP (ORDER BY records::double precision)
    FROM (
            SELECT r.started_at, r.completed_at, r.status, r.records_updated
            FROM airflow_jobmon.history r
            WHERE r.job_name = job AND r.started_at >= since AND r.started_at < until AND NOT r.drill
                AND NOT unsealed_only
            UNION ALL
            SELECT u.started_at, u.completed_at, u.status, u.records_updated
            FROM airflow_jobmon.unsealed_runs u
            WHERE u.job_name = job AND u.started_at >= since AND u.started_at < until AND unsealed_only
        ) run,
        LATERAL (
            SELECT CASE run.status WHEN 'success' THEN
                extract(epoch FROM run.completed_at - run.started_at)::double precision END,
                CASE run.status WHEN 'success' THEN run.records_updated END
        ) of_success (seconds, records)
    GROUP BY airflow_jobmon.day_of(run.started_at)
$$;

-- The finished runs of a job on a day, counted from the log.
CREATE OR REPLACE FUNCTION airflow_jobmon.finished_on(job text, day date)
RETURNS TABLE (finished bigint, succeeded bigint)
LANGUAGE sql STABLE AS $$
    SELECT count(*), count(*) FILTER (WHERE r.status = 'success')
    FROM airflow_jobmon.history r
    WHERE r.job_name = job AND NOT r.drill AND r.status IN ('success', 'failed')
        AND r.started_at >= airflow_jobmon.day_start(day) AND r.started_at < airflow_jobmon.day_start(day + 1)
$$;

-- The finished runs of a job that started after `since`, to the microsecond. This runs for ten thousand jobs at once, so
-- it adds up all sealed days first, and then corrects the sum by those that are marked or frozen.
CREATE OR REPLACE FUNCTION airflow_jobmon.finished_since(job text, since timestamptz)
RETURNS TABLE (finished bigint, succeeded bigint)
LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(part.finished), 0)::bigint, coalesce(sum(part.succeeded), 0)::bigint
    FROM (
        -- The first day that lies wholly after `since`.
        SELECT airflow_jobmon.day_of(since) + 1, airflow_jobmon.day_start(airflow_jobmon.day_of(since) + 1)
    ) AS whole (day, start),
    LATERAL (
        -- The sealed days.
        SELECT sum(d.successful_runs + d.failed_runs) AS finished, sum(d.successful_runs) AS succeeded
        FROM airflow_jobmon.job_days d
        WHERE d.job_name = job AND d.day >= whole.day
            AND d.day >= (SELECT sealed_from FROM airflow_jobmon.sealed_range)
            AND d.day <= (SELECT sealed_through FROM airflow_jobmon.sealed_range)
        UNION ALL
        -- The whole days after them.
        SELECT count(*), count(*) FILTER (WHERE r.status = 'success')
        FROM airflow_jobmon.history r
        WHERE r.job_name = job AND NOT r.drill AND r.status IN ('success', 'failed')
            AND r.started_at >= whole.start
            AND r.started_at >= coalesce((SELECT until FROM airflow_jobmon.sealed_range), '-infinity')
        UNION ALL
        -- The rest of the day in which `since` lies.
        SELECT count(*), count(*) FILTER (WHERE r.status = 'success')
        FROM airflow_jobmon.history r
        WHERE r.job_name = job AND NOT r.drill AND r.status IN ('success', 'failed')
            AND r.started_at > since AND r.started_at < whole.start
        UNION ALL
        -- The whole days before the sealed ones.
        SELECT count(*), count(*) FILTER (WHERE r.status = 'success')
        FROM airflow_jobmon.history r
        WHERE whole.start < (SELECT range.since FROM airflow_jobmon.sealed_range range)
            AND r.job_name = job AND NOT r.drill AND r.status IN ('success', 'failed')
            AND r.started_at >= whole.start AND r.started_at < (SELECT range.since FROM airflow_jobmon.sealed_range range)
        UNION ALL
        -- Sealed days that are marked: replace the stored count by a count of the log.
        SELECT logged.finished - coalesce(d.successful_runs + d.failed_runs, 0),
            logged.succeeded - coalesce(d.successful_runs, 0)
        FROM (
            SELECT DISTINCT x.day
            FROM airflow_jobmon.dirty x
            WHERE (SELECT EXISTS (SELECT FROM airflow_jobmon.dirty))
                AND (x.job_name = job OR x.job_name IS NULL) AND x.day >= whole.day
                AND x.day >= (SELECT sealed_from FROM airflow_jobmon.sealed_range)
                AND x.day <= (SELECT sealed_through FROM airflow_jobmon.sealed_range)
        ) marked
        LEFT JOIN airflow_jobmon.job_days d ON d.job_name = job AND d.day = marked.day,
        LATERAL airflow_jobmon.finished_on(job, marked.day) logged
        WHERE d.frozen IS NOT TRUE
        UNION ALL
        -- Frozen days that are not sealed: replace the count of the runs left in the log by the stored count.
        SELECT f.successful_runs + f.failed_runs - logged.finished, f.successful_runs - logged.succeeded
        FROM airflow_jobmon.job_days f,
            LATERAL airflow_jobmon.finished_on(job, f.day) logged
        WHERE (SELECT EXISTS (SELECT FROM airflow_jobmon.any_frozen))
            AND f.frozen AND f.job_name = job AND f.day >= whole.day
            AND (f.day >= (SELECT sealed_from FROM airflow_jobmon.sealed_range)
                AND f.day <= (SELECT sealed_through FROM airflow_jobmon.sealed_range)) IS NOT TRUE
    ) part
$$;
