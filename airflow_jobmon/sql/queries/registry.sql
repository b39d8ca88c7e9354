-- The registry of monitored jobs.

-- name: lock
-- One applier at a time, so that two sources cannot both find a name free; readers go on reading.
LOCK TABLE airflow_jobmon.jobs IN SHARE ROW EXCLUSIVE MODE

-- name: list
-- Every registered job (of one source, if given) with who registered it, and the stored verdict on those judged.
SELECT j.name, j.source, j.config, j.registered_at,
    CASE WHEN h.checked_at IS NOT NULL AND (j.config -> 'enabled') IS DISTINCT FROM 'false' THEN h.health END,
    CASE WHEN (j.config -> 'enabled') IS DISTINCT FROM 'false' THEN h.next_due_at END
FROM airflow_jobmon.jobs j
LEFT JOIN airflow_jobmon.job_health h ON h.job_name = j.name
WHERE %(source)s::text IS NULL OR j.source = %(source)s
ORDER BY j.name

-- name: held
-- What the registry holds under these names, and all that this source registered before.
SELECT name, source, config
FROM airflow_jobmon.jobs
WHERE name = ANY (%(names)s) OR source = %(source)s

-- name: register
-- Add or change; registered_at stays, since the first deadline of a job that never ran counts from it. The source is
-- another only where the job was taken over. A changed schedule holds from now on, unless the job is missed by the old
-- one: a new one does not excuse that.
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
DELETE FROM airflow_jobmon.jobs WHERE name = ANY (%(names)s)

-- name: judge_soon
-- What we expect has changed, so the stored verdicts are old, and their deadlines void; a job that never ran gets its
-- first state here.
-- In order of name, as everybody who locks several states does.
INSERT INTO airflow_jobmon.job_state (job_name, judge_at)
SELECT name, clock_timestamp() FROM unnest(%(names)s::text[]) AS given (name) ORDER BY name
ON CONFLICT (job_name) DO UPDATE SET judge_at = excluded.judge_at, due_at = NULL, trends_on = NULL

-- name: channels
-- Names that were channels, and whether each stands for a notifier that a DAG gave lately.
SELECT name, coalesce(notifier_seen_at > clock_timestamp() - interval '30 days', false)
FROM airflow_jobmon.channels

-- name: wake_watchers
SELECT pg_notify('airflow_jobmon', '')
