-- Once, at the first migration: records the jobs that are already in the log. Problems of their runs are pre-existing
-- and do not alert; a job or a run that is logged later is monitored from the start.
CREATE OR REPLACE FUNCTION airflow_jobmon.note_jobs() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE airflow_jobmon.installation SET jobs_noted = true WHERE NOT jobs_noted;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    INSERT INTO airflow_jobmon.job_state (job_name, first_seen_at, found_started_at)
    WITH RECURSIVE name AS (  -- from one name to the next by the index, however many runs each has
        (SELECT r.job_name FROM airflow_jobmon.runs r ORDER BY r.job_name LIMIT 1)
        UNION ALL
        SELECT (SELECT r.job_name FROM airflow_jobmon.runs r WHERE r.job_name > name.job_name ORDER BY r.job_name LIMIT 1)
        FROM name
        WHERE name.job_name IS NOT NULL
    )
    SELECT name.job_name, i.installed_at, (
        SELECT max(r.started_at) FROM airflow_jobmon.runs r
        WHERE r.job_name = name.job_name AND NOT r.drill AND r.started_at <= i.installed_at)
    FROM name, airflow_jobmon.installation i
    WHERE octet_length(name.job_name) <= 2600  -- a longer one fits into no index of ours
    ORDER BY name.job_name
    ON CONFLICT DO NOTHING;
END $$;
