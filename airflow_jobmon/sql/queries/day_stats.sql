-- The figures of each job and UTC day.

-- name: days
-- The days of each given job from `since` on, oldest first: as in the view `days`, without reading older ones.
SELECT j.name, d.day, d.total_runs, d.successful_runs, d.failed_runs, d.timed_runs, d.duration_sum, d.duration_median,
    d.duration_p95, d.duration_max, d.records_runs, d.records_sum::bigint, d.records_median
FROM unnest(%(names)s::text[]) AS j (name),
    LATERAL (
        SELECT s.job_name, s.day, s.total_runs, s.successful_runs, s.failed_runs, s.timed_runs,
            s.duration_sum, s.duration_min, s.duration_median, s.duration_p95, s.duration_max,
            s.records_runs, s.records_sum, s.records_median
        FROM airflow_jobmon.sealed_days s
        WHERE s.job_name = j.name AND s.day >= %(since)s
        UNION ALL
        SELECT * FROM airflow_jobmon.count_days(j.name, airflow_jobmon.day_start(%(since)s), 'infinity', true)
    ) d
ORDER BY j.name, d.day

-- name: seal
-- One step of sealing.
SELECT airflow_jobmon.seal()
