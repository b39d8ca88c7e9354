-- For reading, not for running: `airflow jobmon migrate` installs this on a table with the default names, made from the
-- templates in sql/functions/. Written by tests/db/postgres/test_rendered.py.

CREATE TRIGGER airflow_jobmon_days_delete
    AFTER DELETE ON public.jobs_log FOR EACH ROW
    WHEN (old.started_at < (clock_timestamp() - '23:00:00'::interval) AND current_setting('airflow_jobmon.archiving'::text, true) IS DISTINCT FROM 'on'::text)
    EXECUTE FUNCTION airflow_jobmon.mark_days();

CREATE TRIGGER airflow_jobmon_days_insert
    AFTER INSERT ON public.jobs_log FOR EACH ROW
    WHEN (new.started_at < (clock_timestamp() - '23:00:00'::interval))
    EXECUTE FUNCTION airflow_jobmon.mark_days();

CREATE TRIGGER airflow_jobmon_days_truncate
    AFTER TRUNCATE ON public.jobs_log FOR EACH STATEMENT
    EXECUTE FUNCTION airflow_jobmon.mark_days();

CREATE TRIGGER airflow_jobmon_days_update
    AFTER UPDATE ON public.jobs_log FOR EACH ROW
    WHEN (LEAST(old.started_at, new.started_at) < (clock_timestamp() - '23:00:00'::interval))
    EXECUTE FUNCTION airflow_jobmon.mark_days();

CREATE TRIGGER airflow_jobmon_failed_insert
    AFTER INSERT ON public.jobs_log FOR EACH ROW
    WHEN (new.status = 'failed'::text)
    EXECUTE FUNCTION airflow_jobmon.note_failed_run();

CREATE TRIGGER airflow_jobmon_failed_update
    AFTER UPDATE ON public.jobs_log FOR EACH ROW
    WHEN (new.status = 'failed'::text AND (old.status = 'failed'::text) IS NOT TRUE)
    EXECUTE FUNCTION airflow_jobmon.note_failed_run();

CREATE TRIGGER airflow_jobmon_days_delete
    AFTER DELETE ON airflow_jobmon.jobs_log_archive FOR EACH ROW
    WHEN (current_setting('airflow_jobmon.archiving'::text, true) IS DISTINCT FROM 'on'::text)
    EXECUTE FUNCTION airflow_jobmon.mark_archived_days();

CREATE TRIGGER airflow_jobmon_days_insert
    AFTER INSERT ON airflow_jobmon.jobs_log_archive FOR EACH ROW
    WHEN (current_setting('airflow_jobmon.archiving'::text, true) IS DISTINCT FROM 'on'::text)
    EXECUTE FUNCTION airflow_jobmon.mark_archived_days();

CREATE TRIGGER airflow_jobmon_days_truncate
    AFTER TRUNCATE ON airflow_jobmon.jobs_log_archive FOR EACH STATEMENT
    EXECUTE FUNCTION airflow_jobmon.mark_archived_days();

CREATE TRIGGER airflow_jobmon_days_update
    AFTER UPDATE ON airflow_jobmon.jobs_log_archive FOR EACH ROW
    WHEN (current_setting('airflow_jobmon.archiving'::text, true) IS DISTINCT FROM 'on'::text)
    EXECUTE FUNCTION airflow_jobmon.mark_archived_days();
