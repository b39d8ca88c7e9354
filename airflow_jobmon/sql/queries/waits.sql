-- name: finished_runs
-- The first finished run of each wait, in one round trip; one index range per wait.
SELECT wait.nth, run.id, run.started_at, run.completed_at, run.status, run.records_updated, run.error_message
FROM unnest(
    %(job_names)s::text[], %(sinces)s::timestamptz[], %(good_only)s::boolean[], %(min_records)s::bigint[]
) WITH ORDINALITY AS wait (job_name, since, good_only, min_records, nth)
CROSS JOIN LATERAL (
    SELECT r.id, r.started_at, r.completed_at, r.status, r.records_updated, left(r.error_message, 4000) AS error_message
    FROM airflow_jobmon.history AS r
    WHERE r.job_name = wait.job_name
      AND r.started_at >= wait.since
      AND r.status IN ('success', 'failed')
      AND NOT r.drill
      AND (
          NOT wait.good_only
          OR (r.status = 'success' AND (wait.min_records IS NULL OR coalesce(r.records_updated, 0) >= wait.min_records))
      )
    ORDER BY r.started_at, r.completed_at
    LIMIT 1
) AS run;

-- name: registered_job
-- The registry entry of a job.
SELECT config FROM airflow_jobmon.jobs WHERE name = %(job_name)s;

-- name: marks
-- The successes of these jobs that subscribers were notified of.
SELECT job_name, announced, floor FROM airflow_jobmon.asset_marks WHERE job_name = ANY(%(job_names)s::text[]);

-- name: write_mark
-- The floor never moves back: for a moment, two triggerers may write the mark of the same job.
INSERT INTO airflow_jobmon.asset_marks AS mark (job_name, announced, floor)
VALUES (%(job_name)s, %(announced)s::text[], %(floor)s)
ON CONFLICT (job_name) DO UPDATE
SET announced = excluded.announced, floor = greatest(mark.floor, excluded.floor), marked_at = clock_timestamp();

-- name: changed_successes
-- The successes among the newest runs of each job, for the jobs where they have changed since the previous poll.
-- Thanks to the fingerprint, an unchanged job costs one small index scan and returns no row.
SELECT watch.nth, seen.fingerprint, seen.oldest_start, seen.ids, seen.started, seen.completed, seen.records
FROM unnest(
    %(job_names)s::text[], %(floors)s::timestamptz[], %(fingerprints)s::bigint[]
) WITH ORDINALITY AS watch (job_name, floor, fingerprint, nth)
CROSS JOIN LATERAL (
    SELECT
        coalesce(bit_xor(hashtextextended(concat(r.id, '@', r.started_at), 0)) FILTER (WHERE r.status = 'success'), 0)
            AS fingerprint,
        CASE WHEN count(*) >= %(window)s THEN min(r.started_at) END AS oldest_start,
        array_agg(r.id) FILTER (WHERE r.status = 'success') AS ids,
        array_agg(r.started_at) FILTER (WHERE r.status = 'success') AS started,
        array_agg(r.completed_at) FILTER (WHERE r.status = 'success') AS completed,
        array_agg(r.records_updated) FILTER (WHERE r.status = 'success') AS records
    FROM (
        SELECT n.id, n.started_at, n.completed_at, n.status, n.records_updated
        FROM airflow_jobmon.history AS n
        WHERE n.job_name = watch.job_name AND n.started_at >= coalesce(watch.floor, '-infinity')
        ORDER BY n.started_at DESC, n.id
        LIMIT %(window)s
    ) AS r
) AS seen
WHERE seen.fingerprint IS DISTINCT FROM watch.fingerprint;
