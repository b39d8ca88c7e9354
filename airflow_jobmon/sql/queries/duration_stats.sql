-- What a check of all jobs stores besides their health.

-- name: store_full_check
-- From now on all jobs count as checked at this moment.
UPDATE airflow_jobmon.full_checks SET checked_at = clock_timestamp()

-- name: refresh_durations
-- The usual durations of each job over the last 30 days, from the figures of each day. States are locked in order of
-- name everywhere, which avoids deadlocks.
WITH usual AS MATERIALIZED (
    SELECT job_name,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_median) AS p50,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_p95) AS p95
    FROM airflow_jobmon.days
    WHERE day > (clock_timestamp() AT TIME ZONE 'UTC')::date - 30 AND duration_median IS NOT NULL
    GROUP BY job_name
), changed AS MATERIALIZED (
    SELECT st.job_name, usual.p50, usual.p95
    FROM airflow_jobmon.job_state st
    JOIN usual ON usual.job_name = st.job_name
    WHERE (st.duration_p50, st.duration_p95) IS DISTINCT FROM (usual.p50, usual.p95)
    ORDER BY st.job_name
    FOR UPDATE OF st
)
UPDATE airflow_jobmon.job_state st
SET duration_p50 = changed.p50, duration_p95 = changed.p95
FROM changed
WHERE st.job_name = changed.job_name
