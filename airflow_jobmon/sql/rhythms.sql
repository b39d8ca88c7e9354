-- name: owed
-- Which of these jobs' rhythms are to be learned anew: of unregistered ones, at first sight, and later where they ran
-- since: at most twice a day, and at once after a run that came past its deadline, since its rhythm may have changed.
-- While a run is awaited past its deadline nothing is learned: the deadline it missed would move.
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
ORDER BY given.name

-- name: starts
-- When each job's runs started, newest first, as hops back of a quarter of an hour or more, so that a job which runs each
-- second costs no more than one that runs each 15 minutes: over 72 days, or 40 hops where those take longer.
SELECT given.name, ARRAY(
    WITH RECURSIVE hop AS (
        (
            SELECT h.started_at, h.started_at AS newest, 1 AS number
            FROM airflow_jobmon.history h
            WHERE h.job_name = given.name AND NOT h.drill AND h.started_at <= %(now)s::timestamptz
            ORDER BY h.started_at DESC
            LIMIT 1
        )
        UNION ALL
        SELECT earlier.started_at, hop.newest, hop.number + 1
        FROM hop
        CROSS JOIN LATERAL (
            SELECT h.started_at
            FROM airflow_jobmon.history h
            WHERE h.job_name = given.name AND NOT h.drill AND h.started_at <= hop.started_at - interval '15 minutes'
            ORDER BY h.started_at DESC
            LIMIT 1
        ) AS earlier
        WHERE hop.number < 2300 AND (hop.number < 40 OR hop.started_at > hop.newest - interval '72 days')
    )
    SELECT hop.started_at FROM hop
)
FROM unnest(%(names)s::text[]) AS given (name)

-- name: store
-- In order of name, as everybody who locks several states does; a job that has none yet gets its first state here.
INSERT INTO airflow_jobmon.job_state (job_name, rhythm, rhythm_at)
SELECT given.job_name, given.rhythm, %(now)s
FROM jsonb_to_recordset(%(rows)s) AS given (job_name text, rhythm jsonb)
ORDER BY given.job_name
ON CONFLICT (job_name) DO UPDATE SET rhythm = excluded.rhythm, rhythm_at = excluded.rhythm_at
