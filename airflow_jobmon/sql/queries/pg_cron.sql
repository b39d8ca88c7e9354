-- pg_cron's own table and functions, to remove a schedule and restore it.

-- name: is_installed
-- Whether pg_cron is installed in this database, and its name.
SELECT to_regclass('cron.job') IS NOT NULL, current_database()

-- name: find
-- By name or number where one is given, else all that mention the job in their name or command.
SELECT jobid, jobname, schedule, command, database, username, active
FROM cron.job
WHERE CASE WHEN %(named)s::text IS NULL
    THEN position(lower(%(job_name)s) IN lower(coalesce(jobname, ''))) > 0
        OR position(lower(%(job_name)s) IN lower(command)) > 0
        OR position(replace(lower(%(job_name)s), '-', '_') IN lower(command)) > 0
    ELSE jobname = %(named)s OR jobid::text = %(named)s END
ORDER BY jobid

-- name: lock
-- Two drills must not both remove it, nor both restore it.
SELECT pg_advisory_xact_lock(hashtextextended('airflow_jobmon drill ' || %(database)s || ' ' || %(command)s, 0))

-- name: unschedule
SELECT cron.unschedule(%(jobid)s::bigint)

-- name: same
-- Whether the table holds it, under any number.
SELECT jobid FROM cron.job
WHERE jobname IS NOT DISTINCT FROM %(jobname)s AND schedule = %(schedule)s AND command = %(command)s
    AND database = %(database)s AND username = %(username)s AND active = %(active)s
LIMIT 1

-- name: taken_name
SELECT jobid FROM cron.job WHERE jobname = %(jobname)s AND username = %(username)s

-- name: is_default
SELECT %(database)s = current_database() AND %(username)s = current_user

-- name: schedule_own
SELECT cron.schedule(%(jobname)s, %(schedule)s, %(command)s)

-- name: schedule_any
SELECT cron.schedule_in_database(%(jobname)s, %(schedule)s, %(command)s, %(database)s, %(username)s, %(active)s)

-- name: schedule_unnamed
SELECT cron.schedule(%(schedule)s, %(command)s)

-- name: alter_any
SELECT cron.alter_job(%(jobid)s, database => %(database)s, username => %(username)s, active => %(active)s)

-- name: alter_active
SELECT cron.alter_job(%(jobid)s, active => %(active)s)
