-- The queries of `airflow jobmon doctor` on the server, the job log and the triggers. They only read, and are cheap
-- however large the log is.

-- name: time_limits
-- A person is waiting, and a session that waits for a lock makes others wait behind it.
SELECT set_config('statement_timeout', '1500', true) AS for_answers, set_config('lock_timeout', '500', true) AS for_locks

-- name: server
SELECT pg_is_in_recovery() AS standby, current_setting('default_transaction_read_only') = 'on' AS read_only,
    current_user AS role, current_setting('server_version_num')::integer / 10000 AS version

-- name: server_port
-- The port of the server itself; if we connected to another one, a pooler or proxy is in between.
SELECT inet_server_port() AS port

-- name: job_log
-- The table that the view `runs` reads, the one it was created for, and the one that is configured now. They differ
-- after a table was renamed and replaced.
SELECT reads.oid AS log, reads.name AS log_name, i.jobs_log_table AS installed, configured.name AS configured,
    configured.oid AS configured_oid,
    i.jobs_log_columns = %(columns)s::jsonb AS same_columns, i.status_words = %(words)s::jsonb AS same_words
FROM airflow_jobmon.installation i
LEFT JOIN LATERAL (
    SELECT c.oid, format('%%I.%%I', n.nspname, c.relname) AS name
    FROM pg_rewrite r
    JOIN pg_class v ON v.oid = r.ev_class AND v.relname = 'runs' AND v.relnamespace = to_regnamespace('airflow_jobmon')
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
    JOIN pg_class c ON c.oid = d.refobjid AND c.relkind IN ('r', 'p')
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LIMIT 1
) reads ON true
CROSS JOIN LATERAL (SELECT airflow_jobmon.table_parts(%(table)s) AS parts) given
LEFT JOIN LATERAL (
    SELECT c.oid, format('%%I.%%I', n.nspname, c.relname) AS name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = given.parts[1] AND c.relname = given.parts[2]
) configured ON true

-- name: read_log
-- Fails unless the role may read every column; the row itself is not used.
SELECT * FROM airflow_jobmon.runs LIMIT 1

-- name: rights
-- The privileges that the connection's role lacks on our own tables, a row per table.
SELECT c.relname AS relation, string_agg(wanted.privilege, ', ' ORDER BY wanted.place) AS lacking, current_user AS role
FROM pg_class c
CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) WITH ORDINALITY AS wanted (privilege, place)
WHERE c.relnamespace = to_regnamespace('airflow_jobmon') AND c.relkind IN ('r', 'p')
    AND (wanted.privilege = 'SELECT' OR c.relname NOT IN ('migrations', 'installation'))
    AND NOT has_table_privilege(c.oid, wanted.privilege)
GROUP BY c.relname
ORDER BY c.relname

-- name: row_security
-- Tables with rows that row level security may hide from a role that needs them: the log from the role that the view
-- reads it as, our tables from the connection's role, the events also from the owner of the trigger's function. A policy
-- that allows every row hides nothing.
WITH guarded AS (
    SELECT %(log)s::oid AS relation, true AS is_log, CASE WHEN coalesce((
            SELECT o.option_value::boolean FROM pg_options_to_table(v.reloptions) o
            WHERE o.option_name = 'security_invoker'), false)
        THEN current_user::regrole::oid ELSE v.relowner END AS reader
    FROM pg_class v
    WHERE v.relname = 'runs' AND v.relnamespace = to_regnamespace('airflow_jobmon')
    UNION
    SELECT c.oid, false, reads.reader
    FROM pg_class c
    CROSS JOIN LATERAL (
        SELECT current_user::regrole::oid AS reader
        UNION
        SELECT f.proowner FROM pg_proc f
        WHERE c.relname = 'events' AND f.proname = 'note_failed_run' AND f.pronamespace = c.relnamespace
    ) reads
    WHERE c.relnamespace = to_regnamespace('airflow_jobmon') AND c.relkind IN ('r', 'p')
)
SELECT format('%%I.%%I', n.nspname, c.relname) AS relation, r.rolname AS role, g.is_log,
    c.relforcerowsecurity AND pg_has_role(r.oid, c.relowner, 'USAGE') AS forced,
    (SELECT string_agg(quote_ident(p.polname) || coalesce(' USING (' || left(pg_get_expr(p.polqual, c.oid), 80) || ')', ''),
            ', ' ORDER BY p.polname)
        FROM pg_policy p
        WHERE p.polrelid = c.oid AND p.polcmd IN ('r', '*')
            AND EXISTS (SELECT FROM unnest(p.polroles) AS of_role (oid)
                WHERE of_role.oid = 0 OR pg_has_role(r.oid, of_role.oid, 'USAGE'))) AS policies
FROM guarded g
JOIN pg_class c ON c.oid = g.relation
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_roles r ON r.oid = g.reader
WHERE c.relrowsecurity AND NOT r.rolsuper AND NOT r.rolbypassrls
    AND (c.relforcerowsecurity OR NOT pg_has_role(r.oid, c.relowner, 'USAGE'))
    AND NOT (
        EXISTS (
            SELECT FROM pg_policy p CROSS JOIN unnest(p.polroles) AS of_role (oid)
            WHERE p.polrelid = c.oid AND p.polpermissive AND (p.polcmd = '*' OR p.polcmd = 'r' AND g.is_log)
                AND (of_role.oid = 0 OR pg_has_role(r.oid, of_role.oid, 'USAGE'))
                AND pg_get_expr(p.polqual, c.oid) = 'true' AND coalesce(pg_get_expr(p.polwithcheck, c.oid), 'true') = 'true')
        AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND NOT p.polpermissive)
    )
ORDER BY g.is_log DESC, relation
LIMIT 20

-- name: triggers
-- Those of the named triggers that do not fire for ordinary rows: missing (null), disabled (D), for replicated rows
-- only (R). On a partitioned table, the triggers of every partition count.
SELECT format('%%I.%%I', n.nspname, c.relname) AS relation, wanted.name AS trigger, t.tgenabled::text AS enabled
FROM (SELECT %(log)s::oid AS oid UNION SELECT relid FROM pg_partition_tree(%(log)s::oid)) part
JOIN pg_class c ON c.oid = part.oid AND c.relkind IN ('r', 'p')
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN unnest(%(names)s::text[]) AS wanted (name)
LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND t.tgname = wanted.name
    AND t.tgfoid = (SELECT f.oid FROM pg_proc f
        WHERE f.proname = %(function)s AND f.pronamespace = to_regnamespace('airflow_jobmon'))
WHERE coalesce(t.tgenabled, '-') NOT IN ('O', 'A')
ORDER BY relation, trigger
LIMIT 20

-- name: trigger_function
-- The function that records failed runs: the role it runs as, and the privileges that role lacks. No row if the function
-- is missing.
SELECT owner.rolname AS role, f.prosecdef AS as_owner,
    array_remove(ARRAY[
        CASE WHEN NOT has_schema_privilege(owner.oid, f.pronamespace, 'USAGE') THEN 'USAGE on schema airflow_jobmon' END,
        CASE WHEN events.oid IS NULL THEN 'the table airflow_jobmon.events'
            WHEN NOT has_table_privilege(owner.oid, events.oid, 'INSERT') THEN 'INSERT on airflow_jobmon.events' END,
        CASE WHEN payload.oid IS NULL THEN 'the function airflow_jobmon.job_failure_payload'
            WHEN NOT has_function_privilege(owner.oid, payload.oid, 'EXECUTE')
            THEN 'EXECUTE on airflow_jobmon.job_failure_payload' END
    ], NULL) AS lacking
FROM pg_proc f
JOIN pg_roles owner ON owner.oid = f.proowner
LEFT JOIN pg_class events ON events.relnamespace = f.pronamespace AND events.relname = 'events'
LEFT JOIN pg_proc payload ON payload.pronamespace = f.pronamespace AND payload.proname = 'job_failure_payload'
WHERE f.proname = 'note_failed_run' AND f.pronamespace = to_regnamespace('airflow_jobmon')

-- name: subscriptions
-- Subscriptions that write to the log here: logical replication applies rows as a replica, for which ordinary triggers
-- do not fire. fire: how many of our triggers fire nevertheless.
SELECT s.subname AS name,
    (SELECT count(*) FROM pg_trigger t
        WHERE t.tgrelid = r.srrelid AND t.tgname LIKE 'airflow\_jobmon\_failed\_%%' AND t.tgenabled IN ('A', 'R')) AS fire,
    format('%%I.%%I', n.nspname, c.relname) AS relation
FROM pg_subscription s
JOIN pg_subscription_rel r ON r.srsubid = s.oid
JOIN pg_class c ON c.oid = r.srrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (r.srrelid = %(log)s::oid OR r.srrelid IN (SELECT relid FROM pg_partition_tree(%(log)s::oid)))
ORDER BY relation, name
LIMIT 20

-- name: replica_sessions
-- Roles and databases with session_replication_role = replica by default: ordinary triggers do not fire for their rows.
SELECT coalesce('role ' || quote_ident(r.rolname), 'every role') || coalesce(' in database ' || quote_ident(d.datname), '')
        AS who
FROM pg_db_role_setting s
LEFT JOIN pg_roles r ON r.oid = s.setrole
LEFT JOIN pg_database d ON d.oid = s.setdatabase
WHERE 'session_replication_role=replica' = ANY (s.setconfig)
    AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
UNION
SELECT 'every role (set in the server''s configuration)'
FROM pg_settings
WHERE name = 'session_replication_role' AND setting = 'replica' AND source IN ('configuration file', 'command line')
LIMIT 20

-- name: index
-- serving: a valid index that serves our queries. unfinished: an index that would, but is invalid. can: whether any index
-- could. about_rows: the estimated rows, null if the table was never analyzed.
SELECT mapped.m ->> 'job_key' IS NOT NULL AS can,
    airflow_jobmon.serving_index(%(log)s::oid::regclass, mapped.m ->> 'job_key', mapped.m ->> 'start_key')::text AS serving,
    airflow_jobmon.serving_index(
        %(log)s::oid::regclass, mapped.m ->> 'job_key', mapped.m ->> 'start_key', unfinished => true)::text AS unfinished,
    (SELECT sum(c.reltuples) FILTER (WHERE c.reltuples >= 0) FROM pg_class c
        WHERE c.oid = %(log)s::oid OR c.oid IN (SELECT relid FROM pg_partition_tree(%(log)s::oid) WHERE isleaf))::bigint
        AS about_rows
FROM airflow_jobmon.installation i
CROSS JOIN LATERAL (
    SELECT airflow_jobmon.mapping(%(log)s::oid::regclass, i.jobs_log_columns, i.status_words) AS m
) mapped

-- name: unmapped_status_words
-- Status words without a mapping, among the newest 5 runs of at most 10,000 jobs; one index probe per job.
WITH RECURSIVE name AS (
    (SELECT 1 AS place, job_name FROM airflow_jobmon.runs ORDER BY job_name LIMIT 1)
    UNION ALL
    SELECT name.place + 1,
        (SELECT r.job_name FROM airflow_jobmon.runs r WHERE r.job_name > name.job_name ORDER BY r.job_name LIMIT 1)
    FROM name
    WHERE name.job_name IS NOT NULL AND name.place < 10000
)
SELECT newest.status AS word, count(DISTINCT name.job_name) AS jobs, min(name.job_name) AS job_name
FROM name
CROSS JOIN LATERAL (
    SELECT r.status FROM airflow_jobmon.runs r WHERE r.job_name = name.job_name ORDER BY r.started_at DESC LIMIT 5
) newest
WHERE newest.status NOT IN ('running', 'success', 'failed')
GROUP BY newest.status
ORDER BY jobs DESC, word
LIMIT 10

-- name: two_phase_commit
-- Whether transactions can be prepared here, and whether airflow_jobmon.notify is off: PREPARE TRANSACTION fails after a
-- NOTIFY.
SELECT current_setting('max_prepared_transactions')::integer AS allowed,
    coalesce(lower(current_setting('airflow_jobmon.notify', true)) IN ('off', 'false', 'no', '0'), false) AS notify_off,
    (SELECT string_agg(quote_ident(r.rolname), ', ' ORDER BY r.rolname)
        FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole
        WHERE s.setconfig && ARRAY['airflow_jobmon.notify=off', 'airflow_jobmon.notify=false',
                'airflow_jobmon.notify=no', 'airflow_jobmon.notify=0']
            AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))) AS roles_off,
    (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()) AS prepared

-- name: prepared_transactions
-- Transactions that were prepared and neither committed nor rolled back. in_the_way: they lock the job log or our tables.
SELECT p.gid, p.owner, clock_timestamp() - p.prepared AS age,
    EXISTS (
        SELECT FROM pg_locks own
        JOIN pg_locks l ON l.virtualtransaction = own.virtualtransaction AND l.pid IS NULL
        JOIN pg_class c ON c.oid = l.relation
        WHERE own.transactionid = p.transaction AND own.granted AND own.pid IS NULL
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND (l.relation = %(log)s::oid OR c.relnamespace = to_regnamespace('airflow_jobmon')
                OR l.relation IN (SELECT relid FROM pg_partition_tree(%(log)s::oid)))
    ) AS in_the_way
FROM pg_prepared_xacts p
WHERE p.database = current_database() AND p.prepared < clock_timestamp() - %(older_than)s::interval
ORDER BY in_the_way DESC, p.prepared
LIMIT 5

-- name: notification_queue
-- How full the notification queue is, and the session with the oldest open transaction: if it listens, it blocks the
-- queue.
SELECT pg_notification_queue_usage() AS used, holder.pid, holder.who, holder.age
FROM (SELECT) one
LEFT JOIN LATERAL (
    SELECT a.pid, coalesce(nullif(a.application_name, ''), a.usename::text) AS who, clock_timestamp() - a.xact_start AS age
    FROM pg_stat_activity a
    WHERE a.xact_start IS NOT NULL AND a.pid <> pg_backend_pid() AND a.backend_type = 'client backend'
    ORDER BY a.xact_start
    LIMIT 1
) holder ON true
