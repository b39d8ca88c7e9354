-- name: due
-- The unregistered jobs among these whose schedule is to be learned now: when first seen, and later if they have run
-- since, at most twice a day, or at once after a run that started past its deadline, as its schedule may have changed.
-- Not while a run is past its deadline and has not started: the missed deadline would move. A limited number at a time,
-- since each takes a millisecond, and ten thousand jobs may run in the same minute.
SELECT given.name
FROM unnest(%(names)s::text[]) AS given (name)
LEFT JOIN airflow_jobmon.job_state st ON st.job_name = given.name
WHERE NOT EXISTS (SELECT FROM airflow_jobmon.jobs j WHERE j.name = given.name)
    AND (st.rhythm_at IS NULL OR (
        (st.rhythm_at < %(now)s::timestamptz - interval '12 hours' OR st.due_at < %(now)s::timestamptz)
        AND EXISTS (
            SELECT FROM airflow_jobmon.runs r
            WHERE r.job_name = given.name AND NOT r.drill AND r.started_at <= %(now)s::timestamptz
                AND r.started_at > greatest(
                    st.rhythm_at, CASE WHEN st.due_at < %(now)s::timestamptz THEN st.due_at END))))
ORDER BY (st.due_at < %(now)s::timestamptz) IS TRUE DESC, st.rhythm_at NULLS FIRST
LIMIT 250

-- name: starts
-- The starts of each job, newest first, at most one for each five minutes: of the 72 days before its newest run, but no
-- more than 36,000 runs (25 days of one a minute), and of its newest 40 runs, however old.
SELECT given.name, ARRAY(
    SELECT max(walked.started_at)
    FROM (
        (
            SELECT h.started_at
            FROM airflow_jobmon.history h
            WHERE h.job_name = given.name AND NOT h.drill AND h.started_at <= %(now)s::timestamptz
            ORDER BY h.started_at DESC
            LIMIT 40
        )
        UNION ALL
        (
            SELECT h.started_at
            FROM airflow_jobmon.history h
            WHERE h.job_name = given.name AND NOT h.drill AND h.started_at <= %(now)s::timestamptz
                AND h.started_at > newest.started_at - interval '72 days'
            ORDER BY h.started_at DESC
            LIMIT 36000
        )
    ) walked
    GROUP BY date_bin('5 minutes', walked.started_at, '2000-01-01 00:00+00')
    ORDER BY 1 DESC
    LIMIT 7000
)
FROM unnest(%(names)s::text[]) AS given (name)
LEFT JOIN LATERAL (
    SELECT h.started_at
    FROM airflow_jobmon.history h
    WHERE h.job_name = given.name AND NOT h.drill AND h.started_at <= %(now)s::timestamptz
    ORDER BY h.started_at DESC
    LIMIT 1
) newest ON true

-- name: store
-- States are locked in order of name everywhere, which avoids deadlocks. A job without a state gets its first one here.
INSERT INTO airflow_jobmon.job_state (job_name, rhythm, rhythm_at)
SELECT given.job_name, given.rhythm, %(now)s
FROM jsonb_to_recordset(%(rows)s) AS given (job_name text, rhythm jsonb)
ORDER BY given.job_name
ON CONFLICT (job_name) DO UPDATE SET rhythm = excluded.rhythm, rhythm_at = excluded.rhythm_at
