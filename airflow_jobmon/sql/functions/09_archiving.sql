-- Moves runs out of the job log into airflow_jobmon.jobs_log_archive, and back.

-- The tables that hold the rows of the log, with their size in blocks: the log itself, or its partitions and children at
-- any depth.
CREATE OR REPLACE FUNCTION airflow_jobmon.log_tables() RETURNS TABLE (relation text, blocks bigint)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE tree (oid) AS (
        SELECT jobs_log_table::regclass::oid FROM airflow_jobmon.installation
        UNION
        SELECT h.inhrelid FROM tree JOIN pg_inherits h ON h.inhparent = tree.oid
    )
    SELECT format('%I.%I', n.nspname, c.relname), pg_relation_size(c.oid) / current_setting('block_size')::bigint
    FROM tree JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r'
    ORDER BY c.oid
$$;

-- The whole row of `log` as JSON, from which it can be restored. The value of a type with a cast to JSON of its own
-- (hstore) is kept as text, since it could not be read back from the result of that cast.
CREATE OR REPLACE FUNCTION airflow_jobmon.whole_row(relation regclass) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kept_as_text text;
BEGIN
    SELECT string_agg(format('%L, log.%I::text', a.attname, a.attname), ', ' ORDER BY a.attnum) INTO kept_as_text
    FROM pg_attribute a
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
        AND a.atttypid >= 16384  -- the first oid that is not the server's own
        AND EXISTS (
            SELECT FROM pg_cast c
            WHERE c.castsource = a.atttypid AND c.casttarget IN ('json'::regtype, 'jsonb'::regtype));
    IF kept_as_text IS NULL THEN
        RETURN 'pg_catalog.to_jsonb(log.*)';
    END IF;
    RETURN format('(pg_catalog.to_jsonb(log.*) || pg_catalog.jsonb_build_object(%s))', kept_as_text);
END $$;

-- Conditions, each with its AND, that leave out rows of `log` to which a row of another table refers, or another row of
-- their own: deleting them would be refused, or would take that row along. Null where no foreign key refers to the log.
CREATE OR REPLACE FUNCTION airflow_jobmon.not_referred_to(relation regclass, jobs_log regclass) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(format(' AND NOT EXISTS (SELECT FROM %s referring WHERE %s%s)', f.conrelid::regclass, (
            SELECT string_agg(format('log.%I OPERATOR(%I.%s) referring.%I',
                theirs.attname, n.nspname, o.oprname, own.attname), ' AND ')
            FROM unnest(f.confkey, f.conkey, f.conpfeqop) AS pair (referred, refers, equal)
            JOIN pg_attribute theirs ON theirs.attrelid = f.confrelid AND theirs.attnum = pair.referred
            JOIN pg_attribute own ON own.attrelid = f.conrelid AND own.attnum = pair.refers
            JOIN pg_operator o ON o.oid = pair.equal
            JOIN pg_namespace n ON n.oid = o.oprnamespace
        ), CASE WHEN f.conrelid = f.confrelid THEN
            ' AND (referring.tableoid, referring.ctid) <> (log.tableoid, log.ctid)' END
        ), '' ORDER BY f.oid)
    FROM pg_constraint f
    WHERE f.contype = 'f' AND f.conparentid = 0 AND f.confrelid IN (
        SELECT relation UNION SELECT jobs_log UNION SELECT relid FROM pg_partition_ancestors(relation))
$$;

-- For one of the tables of the log, pieces of SQL in which `log` is that table, and `due (job_name, before)` the jobs
-- whose runs may go. `columns`: what the archive keeps of a row. `movable`: the rows that may go, to follow FROM: runs
-- that are over (a run with an unknown status is over if it has an end) and that nothing refers to.
CREATE OR REPLACE FUNCTION airflow_jobmon.archive_terms(relation regclass) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    jobs_log regclass;
    mapped jsonb;
BEGIN
    SELECT i.jobs_log, i.mapped INTO jobs_log, mapped FROM airflow_jobmon.installed_mapping() i;
    SELECT jsonb_object_agg(key, format(value, 'log')) INTO mapped
    FROM jsonb_each_text(mapped - ARRAY['job_key', 'start_key']);
    RETURN jsonb_build_object(
        'columns', format(
            $sql$
            %1$s::text, %2$s::text, (%3$s)::timestamptz,
            CASE WHEN %4$s >= '0001-01-01 00:00+00' AND %4$s < '9999-12-31 00:00+00' THEN %4$s END,
            (%5$s)::bigint, (%6$s)::text, %7$s::text, %8$s
            $sql$,
            mapped ->> 'id', mapped ->> 'job_name', mapped ->> 'started_at', mapped ->> 'completed_at',
            mapped ->> 'records_updated', mapped ->> 'status', mapped ->> 'error_message',
            airflow_jobmon.whole_row(relation)),
        'movable', format(
            $sql$
            %1$s AS log JOIN due ON due.job_name = (%2$s)::text
            WHERE %3$s IS NOT NULL
                AND %4$s >= '0001-01-01 00:00+00' AND %4$s < due.before
                AND (%5$s IN ('success', 'failed') OR %5$s <> 'running' AND %6$s IS NOT NULL)%7$s
            $sql$,
            relation, mapped ->> 'job_name', mapped ->> 'id_raw', mapped ->> 'started_at', mapped ->> 'status',
            mapped ->> 'completed_at', airflow_jobmon.not_referred_to(relation, jobs_log)),
        'start', mapped ->> 'started_at',
        'job', mapped ->> 'job_name');
END $$;

-- For the rest of a transaction that archives: values as text that is read back unchanged, whatever the defaults of
-- the role are, and no long waits. `airflow_jobmon.archiving` shows our own triggers that the runs are not lost.
CREATE OR REPLACE FUNCTION airflow_jobmon.archive_settings() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.set_config(name, value, true)
    FROM (VALUES ('airflow_jobmon.archiving', 'on'), ('lock_timeout', '2s'), ('statement_timeout', '0'),
        ('idle_in_transaction_session_timeout', '60s'), ('TimeZone', 'UTC'), ('DateStyle', 'ISO, YMD'),
        ('IntervalStyle', 'postgres'), ('extra_float_digits', '1'), ('bytea_output', 'hex')) AS setting (name, value);
END $$;

-- Moves up to `most` rows that stand between two places of a table: those of the given jobs that started before the time
-- given for each. Skips a row that another session holds. Returns how many rows were picked, the place of the last one
-- (if it picked `most`, it has not looked beyond that), and how many runs of each job it moved.
-- The search_path stays that of the session, since triggers of the user may need it.
CREATE OR REPLACE FUNCTION airflow_jobmon.archive_batch(
    relation regclass, job_names text[], befores timestamptz[], first tid, past tid, most integer
) RETURNS TABLE (picked bigint, last tid, moved jsonb)
LANGUAGE plpgsql AS $$
DECLARE
    terms jsonb := airflow_jobmon.archive_terms(relation);
BEGIN
    PERFORM airflow_jobmon.archive_settings();
    RETURN QUERY EXECUTE pg_catalog.format(
        $sql$
        WITH due AS MATERIALIZED (
            SELECT * FROM unnest($1, $2) AS due (job_name, before)
        ), picked AS MATERIALIZED (
            SELECT log.ctid AS place
            FROM ONLY %2$s
                AND log.ctid > $3 AND log.ctid < $4
            ORDER BY log.ctid
            LIMIT $5
            FOR UPDATE OF log SKIP LOCKED
        ), gone (id, job_name, started_at, completed_at, records_updated, status, error_message, "row") AS (
            DELETE FROM ONLY %1$s AS log WHERE log.ctid = ANY (ARRAY(SELECT place FROM picked))
            RETURNING %3$s
        ), kept AS (
            INSERT INTO airflow_jobmon.jobs_log_archive
                (id, job_name, started_at, completed_at, records_updated, status, error_message, "row", archived_at)
            SELECT gone.*, statement_timestamp() FROM gone
            RETURNING job_name
        ), counted AS (
            SELECT job_name, count(*) AS runs FROM kept GROUP BY job_name
        )
        SELECT (SELECT count(*) FROM picked), (SELECT max(place) FROM picked),
            (SELECT coalesce(jsonb_object_agg(job_name, runs), '{}') FROM counted)
        $sql$,
        relation, terms ->> 'movable', terms ->> 'columns')
    USING job_names, befores, first, past, most;
END $$;

-- The first row that `archive_batch` would move, whether another session holds it or not.
CREATE OR REPLACE FUNCTION airflow_jobmon.archive_next(
    relation regclass, job_names text[], befores timestamptz[], first tid, past tid
) RETURNS tid
LANGUAGE plpgsql STABLE AS $$
DECLARE
    next_place tid;
BEGIN
    EXECUTE pg_catalog.format(
        $sql$
        WITH due AS MATERIALIZED (
            SELECT * FROM unnest($1, $2) AS due (job_name, before)
        )
        SELECT min(log.ctid)
        FROM ONLY %s
            AND log.ctid > $3 AND log.ctid < $4
        $sql$,
        airflow_jobmon.archive_terms(relation) ->> 'movable')
    INTO next_place USING job_names, befores, first, past;
    RETURN next_place;
END $$;

-- What `archive_batch` would move of a whole table, by job.
CREATE OR REPLACE FUNCTION airflow_jobmon.archive_count(relation regclass, job_names text[], befores timestamptz[])
RETURNS TABLE (job_name text, runs bigint, oldest timestamptz, newest timestamptz)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    terms jsonb := airflow_jobmon.archive_terms(relation);
BEGIN
    RETURN QUERY EXECUTE pg_catalog.format(
        $sql$
        WITH due AS MATERIALIZED (
            SELECT * FROM unnest($1, $2) AS due (job_name, before)
        )
        SELECT due.job_name, count(*), min(%2$s)::timestamptz, max(%2$s)::timestamptz
        FROM ONLY %1$s
        GROUP BY 1
        $sql$,
        terms ->> 'movable', terms ->> 'start')
    USING job_names, befores;
END $$;

-- Moves archived runs back into the job log, each whole row as it was, and returns how many: those of one job, or (null)
-- of all jobs, that started at `since` or later and before `until`. Generated columns are left to the database.
CREATE OR REPLACE FUNCTION airflow_jobmon.restore_runs(job text, since timestamptz, until timestamptz) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    jobs_log regclass;
    columns text;
    archived_values text;
    restored bigint;
BEGIN
    PERFORM airflow_jobmon.archive_settings();
    SELECT i.jobs_log_table::regclass INTO jobs_log FROM airflow_jobmon.installation i;
    SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum),
        pg_catalog.string_agg('archived.' || pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum)
    INTO columns, archived_values
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = jobs_log AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '';
    EXECUTE pg_catalog.format(
        $sql$
        WITH taken AS (
            DELETE FROM airflow_jobmon.jobs_log_archive
            WHERE ($1 IS NULL OR job_name = $1) AND started_at >= $2 AND started_at < $3
            RETURNING "row"
        )
        INSERT INTO %1$s (%2$s) OVERRIDING SYSTEM VALUE
        SELECT %3$s FROM taken, pg_catalog.jsonb_populate_record(NULL::%1$s, taken."row") AS archived
        $sql$,
        jobs_log, columns, archived_values)
    USING job, since, until;
    GET DIAGNOSTICS restored = ROW_COUNT;
    RETURN restored;
END $$;
