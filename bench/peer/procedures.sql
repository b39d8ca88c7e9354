-- What the monitoring procedures put into a database: the log, and a trigger that notifies of each failed run.
CREATE TABLE public.jobs_log (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_name text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    completed_at timestamptz,
    records_updated integer,
    status text NOT NULL DEFAULT 'running',
    error_message text
);
CREATE INDEX ON public.jobs_log (job_name, started_at DESC);

CREATE FUNCTION public.notify_job_failure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = 'failed' AND (TG_OP = 'INSERT' OR OLD.status IS DISTINCT FROM 'failed') THEN
        PERFORM pg_notify('job_failure', json_build_object(
            'id', NEW.id, 'job_name', NEW.job_name, 'error_message', NEW.error_message, 'alert_time', now())::text);
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER job_failure AFTER INSERT OR UPDATE ON public.jobs_log
    FOR EACH ROW EXECUTE FUNCTION public.notify_job_failure();
