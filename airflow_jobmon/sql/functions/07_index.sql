-- The index on (job_name, started_at DESC) that answers every question about a job.

-- A btree that can serve: its first two columns are the job's name and its start, in an order that a scan in one
-- direction reads newest first. Expressions are compared as the server writes them, without casts and parentheses.
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

-- The job log and, above the tables in it, the partitioned tables that it consists of.
CREATE OR REPLACE FUNCTION airflow_jobmon.indexed_tables(jobs_log regclass)
RETURNS TABLE (relation regclass, schema_name text, table_name text, partitioned boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT c.oid::regclass, n.nspname::text, c.relname::text, c.relkind = 'p'
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_partition_tree(jobs_log) t ON t.relid = c.oid
    WHERE (c.oid = jobs_log OR t.relid IS NOT NULL) AND c.relkind IN ('r', 'p')
    ORDER BY coalesce(t.level, 0), c.oid
$$;

-- The statements that are still needed until an index serves, in order; none if one does. CONCURRENTLY, so that the jobs
-- go on writing; so do not run them inside a transaction. Drops an index that an interrupted build left.
CREATE OR REPLACE FUNCTION airflow_jobmon.index_statements() RETURNS SETOF text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    jobs_log regclass;
    job_key text;
    start_key text;
    part record;
    serving regclass;
    own_name text;
    concurrent text;
    index_names jsonb := '{}';  -- by the oid of the table
BEGIN
    SELECT i.jobs_log, i.mapped ->> 'job_key', i.mapped ->> 'start_key' INTO jobs_log, job_key, start_key
    FROM airflow_jobmon.installed_mapping() i;
    IF job_key IS NULL OR airflow_jobmon.serving_index(jobs_log, job_key, start_key) IS NOT NULL THEN
        RETURN;
    END IF;
    FOR part IN SELECT * FROM airflow_jobmon.indexed_tables(jobs_log) LOOP
        -- The index of a partitioned table is invalid until those of all partitions are attached to it.
        serving := airflow_jobmon.serving_index(part.relation, job_key, start_key, unfinished => part.partitioned);
        IF serving IS NOT NULL THEN
            index_names := index_names || jsonb_build_object(part.relation::oid::text, serving::text);
            CONTINUE;
        END IF;
        own_name := left(part.table_name, 40) || '_jobmon_'
            || left(md5(part.schema_name || '.' || part.table_name), 8);
        index_names := index_names
            || jsonb_build_object(part.relation::oid::text, format('%I.%I', part.schema_name, own_name));
        concurrent := CASE WHEN part.partitioned THEN '' ELSE 'CONCURRENTLY ' END;
        IF to_regclass(format('%I.%I', part.schema_name, own_name)) IS NOT NULL THEN
            RETURN NEXT format('DROP INDEX %s%I.%I', concurrent, part.schema_name, own_name);
        END IF;
        RETURN NEXT format('CREATE INDEX %s%I ON %s%I.%I (%s, %s DESC)', concurrent, own_name,
            CASE WHEN part.partitioned THEN 'ONLY ' ELSE '' END, part.schema_name, part.table_name, job_key, start_key);
    END LOOP;
    RETURN QUERY SELECT airflow_jobmon.index_attachments(jobs_log, index_names);
END $$;

-- The statements that attach the index of each partition to that of its parent, the deepest first.
CREATE OR REPLACE FUNCTION airflow_jobmon.index_attachments(jobs_log regclass, index_names jsonb) RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('ALTER INDEX %s ATTACH PARTITION %s', parent_index, partition_index)
    FROM (
        SELECT index_names ->> t.parentrelid::oid::text AS parent_index,
            index_names ->> t.relid::oid::text AS partition_index,
            t.level, t.relid
        FROM pg_partition_tree(jobs_log) t
    ) pair
    WHERE parent_index IS NOT NULL AND partition_index IS NOT NULL
        AND NOT EXISTS (
            SELECT FROM pg_inherits h
            WHERE h.inhrelid = to_regclass(partition_index) AND h.inhparent = to_regclass(parent_index))
    ORDER BY level DESC, relid
$$;
