-- What exports runs to files. Created again by every migrate; nothing in here holds data.

-- What tells whether a row is still as it was exported. Its text is, under archive_settings(), the same each time.
CREATE OR REPLACE FUNCTION airflow_jobmon.row_digest(whole text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT pg_catalog.hashtextextended(whole, 0) $$;

-- The columns of a table of the log in their order, as they are named in its files.
CREATE OR REPLACE FUNCTION airflow_jobmon.export_columns(relation regclass)
RETURNS TABLE (name text, type text, generated boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attgenerated <> ''
    FROM pg_attribute a
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
$$;

-- The COPY that writes up to `most` rows that may be moved, in order of place, as CSV: place and digest in a first column, then
-- every column of the row. What is not null stands in quotes. `excluded`: places that are left out.
CREATE OR REPLACE FUNCTION airflow_jobmon.export_statement(
    relation regclass, job_names text[], befores timestamptz[], first tid, past tid, most integer, excluded tid[]
) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT pg_catalog.format(
        'COPY (WITH due AS MATERIALIZED (SELECT * FROM unnest(%L::text[], %L::timestamptz[]) AS due (job_name, before)) '
        'SELECT log.ctid || '' '' || airflow_jobmon.row_digest((log.*)::text) AS place, %s FROM ONLY %s '
        'AND log.ctid > %L::tid AND log.ctid < %L::tid AND log.ctid <> ALL (%L::tid[]) ORDER BY log.ctid LIMIT %s) '
        'TO STDOUT (FORMAT csv, FORCE_QUOTE *, ENCODING ''UTF8'')',
        job_names, befores,
        (SELECT pg_catalog.string_agg(pg_catalog.format('log.%I', c.name), ', ')
            FROM airflow_jobmon.export_columns(relation) c),
        airflow_jobmon.archive_terms(relation) ->> 'movable', first, past, excluded, most)
$$;

-- Deletes exactly the rows at these places, if each is still as its digest says and nobody holds one; then the part is
-- `deleted`, all in one transaction, and what was deleted of each job is returned. Otherwise nothing is done, and the places
-- of those that cannot go are. The days they belong to are counted for good before.
CREATE OR REPLACE FUNCTION airflow_jobmon.delete_exported(
    relation regclass, places tid[], digests bigint[], export uuid, part integer
) RETURNS TABLE (staying tid[], moved jsonb)
LANGUAGE plpgsql AS $$
DECLARE
    terms jsonb := airflow_jobmon.archive_terms(relation);
    held tid[];
    gone tid[];
    jobs text[];
    days date[];
BEGIN
    EXECUTE pg_catalog.format(
        'SELECT pg_catalog.array_agg(place), pg_catalog.array_agg(job), pg_catalog.array_agg(day) FROM ('
        'SELECT log.ctid AS place, (%2$s)::text AS job, ((%3$s)::timestamptz AT TIME ZONE ''UTC'')::date AS day '
        'FROM ONLY %1$s AS log JOIN unnest($1, $2) AS exported (place, digest) ON exported.place = log.ctid '
        'WHERE log.ctid = ANY ($1) AND airflow_jobmon.row_digest((log.*)::text) = exported.digest '
        'FOR UPDATE OF log SKIP LOCKED) AS locked',
        relation, terms ->> 'job', terms ->> 'start')
    INTO held, jobs, days USING places, digests;
    IF pg_catalog.cardinality(held) = pg_catalog.cardinality(places) THEN
        BEGIN
            PERFORM airflow_jobmon.freeze_days(jobs, days);
            EXECUTE pg_catalog.format(
                'WITH gone AS (DELETE FROM ONLY %s AS log WHERE log.ctid = ANY ($1) RETURNING log.ctid AS place) '
                'SELECT pg_catalog.array_agg(place) FROM gone', relation)
            INTO gone USING places;
            held := coalesce(gone, '{}');
            IF pg_catalog.cardinality(held) < pg_catalog.cardinality(places) THEN
                RAISE EXCEPTION USING ERRCODE = 'JM010';  -- a trigger kept some: undo the others
            END IF;
            UPDATE airflow_jobmon.archive_parts SET state = 'deleted'
            WHERE export_id = export AND number = part AND state = 'verified';
            IF NOT FOUND THEN
                RAISE EXCEPTION 'part % of export % was given up on by somebody else', part, export
                    USING ERRCODE = 'JM011';
            END IF;
            RETURN QUERY SELECT '{}'::tid[], pg_catalog.jsonb_object_agg(job, runs)
                FROM (SELECT job, count(*) AS runs FROM unnest(jobs) AS job GROUP BY job) AS counted;
            RETURN;
        EXCEPTION WHEN SQLSTATE 'JM010' THEN
            NULL;
        END;
    END IF;
    RETURN QUERY SELECT pg_catalog.array_agg(place), '{}'::jsonb
        FROM unnest(places) AS place WHERE place <> ALL (coalesce(held, '{}'));
END $$;
