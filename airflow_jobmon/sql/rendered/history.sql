-- For reading, not for running: `airflow jobmon migrate` installs this on a table with the default names, made from the
-- templates in sql/functions/. Written by tests/db/postgres/test_rendered.py.

CREATE VIEW airflow_jobmon.history AS
 SELECT id COLLATE "default" AS id,
    job_name,
    started_at,
    completed_at,
    records_updated,
    status COLLATE "default" AS status,
    error_message COLLATE "default" AS error_message,
    drill
   FROM ( SELECT id::text AS id,
            job_name,
            started_at,
                CASE
                    WHEN completed_at >= '0001-01-01 00:00:00+00'::timestamp with time zone AND completed_at < '9999-12-31 00:00:00+00'::timestamp with time zone THEN completed_at
                    ELSE NULL::timestamp with time zone
                END AS completed_at,
            records_updated::bigint AS records_updated,
            COALESCE(status, '(none)'::text) AS status,
            error_message,
            COALESCE(status = 'failed'::text AND "left"(error_message, 10) = 'TEST ALERT'::text, false) AS drill
           FROM public.jobs_log log
        UNION ALL
         SELECT id,
            job_name,
            started_at,
            completed_at,
            records_updated,
            status,
            error_message,
            COALESCE(status = 'failed'::text AND "left"(error_message, 10) = 'TEST ALERT'::text, false) AS drill
           FROM airflow_jobmon.jobs_log_archive) every
  WHERE id IS NOT NULL AND job_name IS NOT NULL AND started_at >= '0001-01-01 00:00:00+00'::timestamp with time zone AND started_at < '9999-12-31 00:00:00+00'::timestamp with time zone;
