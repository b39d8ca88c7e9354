-- Optional: two roles with least privileges. Run it as the owner of the schema; it is safe to run again:
--     psql -v ON_ERROR_STOP=1 -f grants.sql
-- then GRANT jobmon_reader TO grafana; GRANT jobmon_operator TO airflow;
-- Neither needs privileges on jobs_log: the view airflow_jobmon.runs reads it with the privileges of its owner.
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['jobmon_reader', 'jobmon_operator'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
END $$;

-- jobmon_reader: dashboards, `check`, reports.
GRANT USAGE ON SCHEMA airflow_jobmon TO jobmon_reader, jobmon_operator;
GRANT SELECT ON ALL TABLES IN SCHEMA airflow_jobmon TO jobmon_reader, jobmon_operator;
ALTER DEFAULT PRIVILEGES IN SCHEMA airflow_jobmon GRANT SELECT ON TABLES TO jobmon_reader, jobmon_operator;

-- jobmon_operator: also everything that monitoring and delivering need, but not migrating.
GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA airflow_jobmon TO jobmon_operator;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA airflow_jobmon TO jobmon_operator;
ALTER DEFAULT PRIVILEGES IN SCHEMA airflow_jobmon GRANT INSERT, UPDATE, DELETE ON TABLES TO jobmon_operator;
ALTER DEFAULT PRIVILEGES IN SCHEMA airflow_jobmon GRANT USAGE ON SEQUENCES TO jobmon_operator;
-- Some views are updatable, and `runs` would write to the job log itself: reading them is enough. And the next drill
-- undoes what a killed one left behind with its own privileges, so the operator must not write drill_leftovers.
REVOKE INSERT, UPDATE, DELETE ON airflow_jobmon.migrations, airflow_jobmon.drill_leftovers, airflow_jobmon.installation, airflow_jobmon.runs,
    airflow_jobmon.history, airflow_jobmon.recent_executions, airflow_jobmon.stored_verdicts, airflow_jobmon.job_health, airflow_jobmon.failed_jobs,
    airflow_jobmon.success_rate, airflow_jobmon.performance_metrics, airflow_jobmon.daily_metrics,
    airflow_jobmon.weekly_review, airflow_jobmon.execution_frequency, airflow_jobmon.longest_runs,
    airflow_jobmon.common_errors, airflow_jobmon.open_incidents, airflow_jobmon.undelivered_alerts
FROM jobmon_operator;
