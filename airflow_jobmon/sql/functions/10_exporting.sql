-- Exports runs to files and deletes what was exported.

-- A digest that shows whether a row has changed since it was exported. Under archive_settings() the text of a row is the
-- same each time.
CREATE OR REPLACE FUNCTION airflow_jobmon.row_digest(whole text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT pg_catalog.hashtextextended(whole, 0) $$;

-- The columns of a table of the log in order, as the exported files name them.
CREATE OR REPLACE FUNCTION airflow_jobmon.export_columns(relation regclass)
RETURNS TABLE (name text, type text, generated boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attgenerated <> ''
    FROM pg_attribute a
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
$$;

-- The COPY that writes up to `most` movable rows as CSV, in order of place: place and digest in the first column, then
-- every column of the row. Values that are not null are quoted. `excluded`: places that are left out.
CREATE OR REPLACE FUNCTION airflow_jobmon.export_statement(
    relation regclass, job_names text[], befores timestamptz[], first tid, past tid, most integer, excluded tid[]
) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT pg_catalog.format(
        $sql$
        COPY (
            WITH due AS MATERIALIZED (
                SELECT * FROM unnest(%1$L::text[], %2$L::timestamptz[]) AS due (job_name, before)
            )
            SELECT log.ctid || ' ' || airflow_jobmon.row_digest((log.*)::text) AS place, %3$s
            FROM ONLY %4$s
                AND log.ctid > %5$L::tid AND log.ctid < %6$L::tid AND log.ctid <> ALL (%7$L::tid[])
            ORDER BY log.ctid
            LIMIT %8$s
        ) TO STDOUT (FORMAT csv, FORCE_QUOTE *, ENCODING 'UTF8')
        $sql$,
        job_names, befores,
        (SELECT pg_catalog.string_agg(pg_catalog.format('log.%I', c.name), ', ')
            FROM airflow_jobmon.export_columns(relation) c),
        airflow_jobmon.archive_terms(relation) ->> 'movable', first, past, excluded, most)
$$;

-- Locks those of the exported rows that are still as their digests say and that no other session holds: the place, the
-- job and the UTC day of each.
CREATE OR REPLACE FUNCTION airflow_jobmon.lock_exported(
    relation regclass, places tid[], digests bigint[], OUT locked tid[], OUT jobs text[], OUT days date[]
)
LANGUAGE plpgsql AS $$
DECLARE
    terms jsonb := airflow_jobmon.archive_terms(relation);
BEGIN
    EXECUTE pg_catalog.format(
        $sql$
        SELECT pg_catalog.array_agg(place), pg_catalog.array_agg(job), pg_catalog.array_agg(day)
        FROM (
            SELECT log.ctid AS place, (%2$s)::text AS job, ((%3$s)::timestamptz AT TIME ZONE 'UTC')::date AS day
            FROM ONLY %1$s AS log
            JOIN unnest($1, $2) AS exported (place, digest) ON exported.place = log.ctid
            WHERE log.ctid = ANY ($1) AND airflow_jobmon.row_digest((log.*)::text) = exported.digest
            FOR UPDATE OF log SKIP LOCKED
        ) AS held
        $sql$,
        relation, terms ->> 'job', terms ->> 'start')
    INTO locked, jobs, days USING places, digests;
END $$;

-- Deletes the rows at these places, all of them or none, and records the part as `deleted`, in one transaction; before
-- that it freezes the days they belong to, which are then counted for good. All are deleted if each is still as its
-- digest says, no other session holds one, and no trigger keeps one: returns how many of each job. Otherwise nothing
-- changes: returns the places of the rows that must stay.
CREATE OR REPLACE FUNCTION airflow_jobmon.delete_exported(
    relation regclass, places tid[], digests bigint[], export uuid, part integer
) RETURNS TABLE (staying tid[], moved jsonb)
LANGUAGE plpgsql AS $$
DECLARE
    deletable tid[];
    jobs text[];
    days date[];
BEGIN
    SELECT l.locked, l.jobs, l.days INTO deletable, jobs, days
    FROM airflow_jobmon.lock_exported(relation, places, digests) l;
    IF pg_catalog.cardinality(deletable) = pg_catalog.cardinality(places) THEN
        BEGIN
            PERFORM airflow_jobmon.freeze_days(jobs, days);
            EXECUTE pg_catalog.format(
                $sql$
                WITH gone AS (
                    DELETE FROM ONLY %s AS log WHERE log.ctid = ANY ($1) RETURNING log.ctid AS place
                )
                SELECT coalesce(pg_catalog.array_agg(place), '{}') FROM gone
                $sql$,
                relation)
            INTO deletable USING places;
            IF pg_catalog.cardinality(deletable) < pg_catalog.cardinality(places) THEN
                RAISE EXCEPTION USING ERRCODE = 'JM010';  -- a trigger kept some rows: undo the others
            END IF;
            UPDATE airflow_jobmon.archive_parts SET state = 'deleted'
            WHERE export_id = export AND number = part AND state = 'verified';
            IF NOT FOUND THEN
                RAISE EXCEPTION 'another process has given up part % of export %', part, export
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
        FROM unnest(places) AS place WHERE place <> ALL (coalesce(deletable, '{}'));
END $$;
