-- The registry of monitored jobs.

-- name: lock
-- One process applies at a time, so that two sources cannot both claim a name. Readers are not blocked.
LOCK TABLE airflow_jobmon.jobs IN SHARE ROW EXCLUSIVE MODE

-- name: list
-- Every registered job, or those of one source, with the stored health of those that are evaluated.
SELECT j.name, j.source, j.config, j.registered_at,
    CASE WHEN h.checked_at IS NOT NULL AND (j.config -> 'enabled') IS DISTINCT FROM 'false' THEN h.health END
        AS health,
    CASE WHEN (j.config -> 'enabled') IS DISTINCT FROM 'false' THEN h.next_due_at END AS next_due_at
FROM airflow_jobmon.jobs j
LEFT JOIN airflow_jobmon.job_health h ON h.job_name = j.name
WHERE %(source)s::text IS NULL OR j.source = %(source)s
ORDER BY j.name

-- name: is_registered
SELECT EXISTS (SELECT FROM airflow_jobmon.jobs WHERE name = %(name)s)

-- name: held
-- The entries of these names, and all others of this source.
SELECT name, source, config
FROM airflow_jobmon.jobs
WHERE name = ANY (%(names)s) OR source = %(source)s

-- name: register
-- Adds or changes. registered_at stays, since the first deadline of a job that never ran counts from it. The source
-- changes only where the job is taken over. A changed schedule counts from now on, unless the job is past its deadline by
-- the old one: a new schedule does not excuse that.
INSERT INTO airflow_jobmon.jobs (name, source, config)
SELECT given.name, %(source)s, given.config
FROM unnest(%(names)s::text[], %(configs)s::jsonb[]) AS given (name, config)
ON CONFLICT (name) DO UPDATE
SET source = excluded.source, config = excluded.config, updated_at = clock_timestamp(),
    scheduled_since = CASE
        WHEN (jobs.config -> 'schedule', jobs.config -> 'timezone', jobs.config -> 'every', jobs.config -> 'enabled')
                IS DISTINCT FROM (excluded.config -> 'schedule', excluded.config -> 'timezone',
                    excluded.config -> 'every', excluded.config -> 'enabled')
            AND NOT EXISTS (
                SELECT FROM airflow_jobmon.job_state st
                WHERE st.job_name = jobs.name AND st.due_at < clock_timestamp())
        THEN clock_timestamp()
        ELSE jobs.scheduled_since
    END

-- name: remove
-- From now on these jobs count as unregistered.
DELETE FROM airflow_jobmon.jobs WHERE name = ANY (%(names)s)

-- name: evaluate_soon
-- The entries changed, so the stored health and deadlines are out of date. A job that never ran gets its first state here.
-- States are locked in order of name everywhere, which avoids deadlocks.
INSERT INTO airflow_jobmon.job_state (job_name, judge_at)
SELECT name, clock_timestamp() FROM unnest(%(names)s::text[]) AS given (name) ORDER BY name
ON CONFLICT (job_name) DO UPDATE SET judge_at = excluded.judge_at, due_at = NULL, trends_on = NULL

-- name: channels
-- Known channels, and whether a DAG has them as notifiers (within 30 days).
SELECT name, coalesce(notifier_seen_at > clock_timestamp() - interval '30 days', false) AS is_notifier
FROM airflow_jobmon.channels

-- name: wake_watchers
SELECT pg_notify('airflow_jobmon', '')
