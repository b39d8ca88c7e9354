-- The index on (job_name, started_at DESC) that every question about a job is answered from.
-- Created again by every migrate; nothing in here holds data.

-- A btree that can serve: its first two columns are the job's name and its start, in an order that a scan in one
-- direction reads newest first. Expressions are compared as the server writes them, casts and brackets aside.
CREATE OR REPLACE FUNCTION airflow_jobmon.serving_index(
    relation regclass, job_key text, start_key text, unfinished boolean DEFAULT false
) RETURNS regclass
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT i.indexrelid::regclass
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_am m ON m.oid = c.relam
    JOIN pg_opclass o ON o.oid = i.indclass[0]
    JOIN pg_opfamily f ON f.oid = o.opcfamily
    LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = relation AND m.amname = 'btree' AND i.indpred IS NULL AND i.indnkeyatts >= 2
        AND (i.indisvalid OR unfinished) AND i.indislive
        AND f.opfname = 'text_ops' AND i.indcollation[0] = coalesce(a.attcollation, i.indcollation[0])
        AND i.indoption[1] IN (0, 3)
        AND regexp_replace(pg_get_indexdef(i.indexrelid, 1, true), '[() ]|::text', '', 'g')
            = regexp_replace(job_key, '[() ]|::text', '', 'g')
        AND regexp_replace(pg_get_indexdef(i.indexrelid, 2, true), '[() ]|::text', '', 'g')
            = regexp_replace(start_key, '[() ]|::text', '', 'g')
    ORDER BY i.indisvalid DESC, i.indexrelid
    LIMIT 1
$$;

-- The statements that are still needed until an index serves, in order; none if one does. CONCURRENTLY, so that the
-- jobs go on writing; therefore not to be run inside a transaction. An index that an interrupted build left is dropped.
CREATE OR REPLACE FUNCTION airflow_jobmon.index_statements() RETURNS SETOF text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    jobs_log regclass;
    mapped jsonb;
    columns text;
    part record;
    own text;
    found regclass;
    names jsonb := '{}';
BEGIN
    SELECT i.jobs_log_table::regclass,
        airflow_jobmon.mapping(i.jobs_log_table::regclass, i.jobs_log_columns, i.status_words)
    INTO jobs_log, mapped
    FROM airflow_jobmon.installation i;
    IF mapped ->> 'job_key' IS NULL
        OR airflow_jobmon.serving_index(jobs_log, mapped ->> 'job_key', mapped ->> 'start_key') IS NOT NULL
    THEN
        RETURN;
    END IF;
    columns := format('(%s, %s DESC)', mapped ->> 'job_key', mapped ->> 'start_key');
    FOR part IN
        SELECT c.oid, c.relkind, n.nspname, c.relname, coalesce(t.level, 0) AS level
        FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_partition_tree(jobs_log) t ON t.relid = c.oid
        WHERE (c.oid = jobs_log OR t.relid IS NOT NULL) AND c.relkind IN ('r', 'p')
        ORDER BY coalesce(t.level, 0), c.oid
    LOOP
        -- Parents first get an index of their own only, invalid until every partition's is attached to it.
        found := airflow_jobmon.serving_index(
            part.oid, mapped ->> 'job_key', mapped ->> 'start_key', unfinished => part.relkind = 'p');
        IF found IS NOT NULL THEN
            names := names || jsonb_build_object(part.oid::text, found::text);
            CONTINUE;
        END IF;
        own := left(part.relname, 40) || '_jobmon_' || left(md5(part.nspname || '.' || part.relname), 8);
        names := names || jsonb_build_object(part.oid::text, format('%I.%I', part.nspname, own));
        IF to_regclass(format('%I.%I', part.nspname, own)) IS NOT NULL THEN
            RETURN NEXT format('DROP INDEX %s%I.%I',
                CASE part.relkind WHEN 'p' THEN '' ELSE 'CONCURRENTLY ' END, part.nspname, own);
        END IF;
        RETURN NEXT format('CREATE INDEX %s%I ON %s%I.%I %s',
            CASE part.relkind WHEN 'p' THEN '' ELSE 'CONCURRENTLY ' END, own,
            CASE part.relkind WHEN 'p' THEN 'ONLY ' ELSE '' END, part.nspname, part.relname, columns);
    END LOOP;
    FOR part IN
        SELECT names ->> t.parentrelid::oid::text AS above, names ->> t.relid::oid::text AS below
        FROM pg_partition_tree(jobs_log) t
        WHERE t.parentrelid IS NOT NULL AND names ? t.relid::oid::text AND names ? t.parentrelid::oid::text
        ORDER BY t.level DESC, t.relid
    LOOP
        IF NOT EXISTS (
            SELECT FROM pg_inherits h
            WHERE h.inhrelid = to_regclass(part.below) AND h.inhparent = to_regclass(part.above))
        THEN
            RETURN NEXT format('ALTER INDEX %s ATTACH PARTITION %s', part.above, part.below);
        END IF;
    END LOOP;
END $$;
