-- The registry of monitored jobs.

-- name: lock
-- One applier at a time, so that two sources cannot both find a name free; readers go on reading.
LOCK TABLE airflow_jobmon.jobs IN SHARE ROW EXCLUSIVE MODE

-- name: list
-- Every registered job with who registered it.
SELECT name, source, config, registered_at FROM airflow_jobmon.jobs ORDER BY name

-- name: held
-- What the registry holds under these names, and all that this source registered before.
SELECT name, source, config
FROM airflow_jobmon.jobs
WHERE name = ANY (%(names)s) OR source = %(source)s

-- name: register
-- Add or change; registered_at stays, since the first deadline of a job that never ran counts from it.
INSERT INTO airflow_jobmon.jobs (name, source, config)
SELECT given.name, %(source)s, given.config
FROM unnest(%(names)s::text[], %(configs)s::jsonb[]) AS given (name, config)
ON CONFLICT (name) DO UPDATE SET config = excluded.config, updated_at = clock_timestamp()

-- name: remove
DELETE FROM airflow_jobmon.jobs WHERE name = ANY (%(names)s)

-- name: judge_soon
-- What we expect has changed, so the stored verdicts are old; a job that never ran gets its first state here.
-- In order of name, as everybody who locks several states does.
INSERT INTO airflow_jobmon.job_state (job_name, judge_at)
SELECT name, clock_timestamp() FROM unnest(%(names)s::text[]) AS given (name) ORDER BY name
ON CONFLICT (job_name) DO UPDATE SET judge_at = excluded.judge_at

-- name: wake_watchers
SELECT pg_notify('airflow_jobmon', '')
