-- name: owed
-- Which of these jobs' trends were not yet told for this day: of registered ones, or of all.
SELECT given.name
FROM unnest(%(names)s::text[]) AS given (name)
LEFT JOIN airflow_jobmon.job_state st ON st.job_name = given.name
WHERE st.trends_on IS DISTINCT FROM %(today)s
    AND (%(unregistered)s OR EXISTS (SELECT FROM airflow_jobmon.jobs j WHERE j.name = given.name))
ORDER BY given.name

-- name: store
-- In order of name, as everybody who locks several states does; a job that has none yet gets its first state here.
INSERT INTO airflow_jobmon.job_state (job_name, trends, trends_on)
SELECT given.job_name, given.trends, %(today)s
FROM jsonb_to_recordset(%(rows)s) AS given (job_name text, trends jsonb)
ORDER BY given.job_name
ON CONFLICT (job_name) DO UPDATE SET trends = excluded.trends, trends_on = excluded.trends_on
