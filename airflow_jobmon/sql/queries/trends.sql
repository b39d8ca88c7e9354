-- name: due
-- Those of these jobs that have no trends of this day yet: registered jobs, or all.
SELECT given.name
FROM unnest(%(names)s::text[]) AS given (name)
LEFT JOIN airflow_jobmon.job_state st ON st.job_name = given.name
WHERE st.trends_on IS DISTINCT FROM %(today)s
    AND (%(unregistered)s OR EXISTS (SELECT FROM airflow_jobmon.jobs j WHERE j.name = given.name))
ORDER BY given.name

-- name: store
-- States are locked in order of name everywhere, which avoids deadlocks. A job without a state gets its first one here.
INSERT INTO airflow_jobmon.job_state (job_name, trends, trends_on)
SELECT given.job_name, given.trends, %(today)s
FROM jsonb_to_recordset(%(rows)s) AS given (job_name text, trends jsonb)
ORDER BY given.job_name
ON CONFLICT (job_name) DO UPDATE SET trends = excluded.trends, trends_on = excluded.trends_on
