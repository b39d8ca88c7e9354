-- Creates logins with the least privileges, after each migration. Passwords come from the environment.
\set ON_ERROR_STOP on
\getenv jobmon_password JOBMON_DB_PASSWORD
\getenv grafana_password GRAFANA_DB_PASSWORD
\getenv grants GRANTS
\i :grants
SELECT format('CREATE ROLE %I LOGIN', login)
FROM unnest(ARRAY['jobmon', 'grafana']) AS login
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login)
\gexec
ALTER ROLE jobmon PASSWORD :'jobmon_password';
ALTER ROLE grafana PASSWORD :'grafana_password';
GRANT jobmon_operator TO jobmon;
GRANT jobmon_reader TO grafana;
-- Drills insert a run and delete it again; archiving moves runs.
GRANT SELECT, INSERT, UPDATE, DELETE ON public.jobs_log TO jobmon;
