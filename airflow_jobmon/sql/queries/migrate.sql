-- name: brief_locks
-- A session that waits for a lock on a table makes every later one wait too, so we never wait for long.
SELECT set_config('lock_timeout', '2s', true), set_config('statement_timeout', '0', true)

-- name: one_at_a_time
SELECT pg_advisory_xact_lock(%(lock)s)

-- name: version
SELECT max(version) FROM airflow_jobmon.migrations

-- name: record
INSERT INTO airflow_jobmon.migrations (version, name) VALUES (%(version)s, %(name)s)

-- name: create_jobs_log
SELECT airflow_jobmon.create_jobs_log(%(table)s, %(columns)s::jsonb)

-- name: attach
SELECT airflow_jobmon.attach(%(table)s, %(columns)s::jsonb, %(words)s::jsonb)

-- name: attach_triggers
SELECT action FROM airflow_jobmon.attach_triggers() AS done (action)

-- name: holders
-- The sessions that hold the job log, our own tables, or the lock of another migrate.
SELECT DISTINCT concat(
    CASE WHEN l.locktype = 'advisory' THEN 'another migrate is running' ELSE format('%%I.%%I is held', n.nspname, c.relname) END,
    ' by pid ', a.pid, ' (', coalesce(nullif(a.application_name, ''), a.usename), ', ', a.state, ' for ',
    round(extract(epoch FROM clock_timestamp() - a.state_change)), ' s)')
FROM pg_locks l
JOIN pg_stat_activity a ON a.pid = l.pid
LEFT JOIN pg_class c ON c.oid = l.relation
LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.granted AND l.pid <> pg_backend_pid() AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (
        (l.locktype = 'advisory' AND (l.classid::bigint << 32 | l.objid::bigint) = %(lock)s)
        OR (l.locktype = 'relation' AND c.relkind IN ('r', 'p', 'v') AND (
            l.relation = to_regclass(%(table)s) OR c.relnamespace = to_regnamespace('airflow_jobmon')
            OR l.relation IN (SELECT relid FROM pg_partition_tree(to_regclass(%(table)s)))))
    )
LIMIT 3

-- name: tables
SELECT lower(n.nspname || '.' || c.relname) AS lower_case, format('%I.%I', n.nspname, c.relname) AS quoted
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\_%' AND n.nspname NOT IN ('information_schema', 'airflow_jobmon')
LIMIT 10000

-- name: columns
SELECT attname FROM pg_attribute
WHERE attrelid = to_regclass(%(table)s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum

-- name: index_statements
SELECT statement FROM airflow_jobmon.index_statements() AS needed (statement)

-- name: being_built
-- Whether another session is building an index on the job log, or vacuuming it: both hold this lock.
SELECT EXISTS (
    SELECT FROM pg_locks l
    WHERE l.mode = 'ShareUpdateExclusiveLock' AND l.granted AND l.pid <> pg_backend_pid()
        AND l.relation IN (
            SELECT i.jobs_log_table::regclass FROM airflow_jobmon.installation i
            UNION
            SELECT t.relid FROM airflow_jobmon.installation i, pg_partition_tree(i.jobs_log_table::regclass) t))
