-- How the user's table is read: [jobmon] jobs_log_table, jobs_log_columns and status_words, as SQL expressions.
-- Errors in this configuration have codes of their own: JM001 the table, JM002 a column, JM003 the type of a column.

-- Schema and name of a table as it is configured; the default schema is public.
CREATE OR REPLACE FUNCTION airflow_jobmon.table_parts(given text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parts text[];
BEGIN
    BEGIN
        parts := parse_ident(given);
    EXCEPTION WHEN invalid_parameter_value THEN
        parts := '{}';
    END;
    IF cardinality(parts) NOT IN (1, 2) THEN
        RAISE EXCEPTION 'jobs_log_table % is not a table name', quote_literal(given) USING ERRCODE = 'JM001',
            HINT = 'write schema.table, with double quotes around names that are not lower case: "My Schema"."Jobs-Log"';
    END IF;
    RETURN CASE cardinality(parts) WHEN 1 THEN ARRAY['public', parts[1]] ELSE parts END;
END $$;

CREATE OR REPLACE FUNCTION airflow_jobmon.find_jobs_log(given text) RETURNS regclass
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    parts text[] := airflow_jobmon.table_parts(given);
    found_oid oid;
    found_kind "char";
BEGIN
    SELECT c.oid, c.relkind INTO found_oid, found_kind
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = parts[1] AND c.relname = parts[2];
    IF found_oid IS NULL THEN
        RAISE EXCEPTION 'table % does not exist', format('%I.%I', parts[1], parts[2])
            USING ERRCODE = 'JM001', TABLE = parts[2], SCHEMA = parts[1];
    END IF;
    IF found_kind NOT IN ('r', 'p') THEN
        RAISE EXCEPTION '% is %, not a table', format('%I.%I', parts[1], parts[2]),
            CASE found_kind WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view' WHEN 'f' THEN 'a foreign table'
                ELSE 'a relation of another kind' END
            USING ERRCODE = 'JM001', HINT = 'name the table that the jobs write to';
    END IF;
    RETURN found_oid::regclass;
END $$;

-- The type of a column, or the base type of its domain; null if there is no such column.
CREATE OR REPLACE FUNCTION airflow_jobmon.column_type(relation regclass, name text) RETURNS regtype
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    base_type regtype;
BEGIN
    WITH RECURSIVE domain_chain AS (
        SELECT t.oid, t.typtype, t.typbasetype
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = relation AND a.attname = name AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT t.oid, t.typtype, t.typbasetype
        FROM domain_chain d JOIN pg_type t ON t.oid = d.typbasetype
        WHERE d.typtype = 'd'
    )
    SELECT d.oid INTO base_type FROM domain_chain d WHERE d.typtype <> 'd';
    RETURN base_type;
END $$;

-- An expression for our column `ours` over a reference to theirs; null if a column of that type cannot be read so.
-- A time without a zone, or a date, is taken as UTC.
CREATE OR REPLACE FUNCTION airflow_jobmon.read_column(ours text, reference text, type regtype) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF ours IN ('started_at', 'completed_at') THEN
        RETURN CASE type
            WHEN 'timestamptz'::regtype THEN reference
            WHEN 'timestamp'::regtype THEN format($sql$(%s AT TIME ZONE 'UTC')$sql$, reference)
            WHEN 'date'::regtype THEN format($sql$(%s::timestamp without time zone AT TIME ZONE 'UTC')$sql$, reference)
        END;
    ELSIF ours = 'records_updated' THEN
        RETURN CASE
            WHEN type IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) THEN reference
            WHEN type IN ('numeric'::regtype, 'float4'::regtype, 'float8'::regtype)
                THEN format('CASE WHEN %1$s BETWEEN -9e18 AND 9e18 THEN %1$s::bigint END', reference)
        END;
    END IF;
    RETURN CASE type WHEN 'text'::regtype THEN reference ELSE reference || '::text' END;
END $$;

-- What an index must have as its first column to find a job by name; null where no index can serve.
CREATE OR REPLACE FUNCTION airflow_jobmon.job_name_key(name text, type regtype) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF type IN ('text'::regtype, 'varchar'::regtype) THEN
        RETURN quote_ident(name);
    ELSIF EXISTS (
        SELECT FROM pg_cast WHERE castsource = type AND casttarget = 'text'::regtype AND castmethod = 'b')
    THEN
        RETURN format('(%s::text)', quote_ident(name));
    END IF;
    RETURN NULL;
END $$;

-- `'a', 'b'`, for a template.
CREATE OR REPLACE FUNCTION airflow_jobmon.quoted_words(words text[]) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(replace(quote_literal(word), '%', '%%'), ', ' ORDER BY place)
    FROM unnest(words) WITH ORDINALITY AS listed (word, place)
$$;

-- The run's status in our words, as a template. A word that is not mapped is shown as it is; a run without a status is
-- shown as `(none)`, not hidden.
CREATE OR REPLACE FUNCTION airflow_jobmon.read_status(theirs text, status_words jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ours text;
    words text[];
    cases text := '';
BEGIN
    FOREACH ours IN ARRAY ARRAY['running', 'success', 'failed'] LOOP
        words := ARRAY(SELECT jsonb_array_elements_text(status_words -> ours));
        IF cardinality(words) > 0 THEN
            cases := cases || format(' WHEN %s IN (%s) THEN %L', theirs, airflow_jobmon.quoted_words(words), ours);
        END IF;
    END LOOP;
    IF cases = '' THEN
        RETURN format($sql$coalesce(%s, '(none)')$sql$, theirs);
    END IF;
    RETURN format($sql$CASE%s ELSE coalesce(%s, '(none)') END$sql$, cases, theirs);
END $$;

-- Whether the run failed, as a template: by the mapped words for `failed`, and by `failed` itself unless it is mapped to
-- another status.
CREATE OR REPLACE FUNCTION airflow_jobmon.read_failed(theirs text, status_words jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    words text[];
BEGIN
    SELECT array_agg(meaning_failed.word ORDER BY meaning_failed.word) INTO words
    FROM (
        SELECT jsonb_array_elements_text(status_words -> 'failed') AS word
        UNION
        SELECT 'failed' WHERE NOT EXISTS (
            SELECT FROM jsonb_each(status_words) AS listed (ours, theirs)
            WHERE listed.ours <> 'failed' AND listed.theirs ? 'failed')
    ) AS meaning_failed;
    RETURN format('%s IN (%s)', theirs, airflow_jobmon.quoted_words(words));
END $$;

-- For each of our columns an expression over theirs, as a template for format(): %1$s is the row that has the columns
-- (`log` in the view, `NEW` and `OLD` in a trigger). Also: `id_raw`, the id in its own type; `failed`, whether the
-- run failed; `job_key` and `start_key`, what an index must have as its first two columns, as plain SQL.
CREATE OR REPLACE FUNCTION airflow_jobmon.mapping(jobs_log regclass, columns jsonb, status_words jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    ours text;
    theirs text;
    type regtype;
    reference text;
    expression text;
    mapped jsonb := '{}';
BEGIN
    FOREACH ours IN ARRAY
        ARRAY['id', 'job_name', 'started_at', 'completed_at', 'records_updated', 'status', 'error_message']
    LOOP
        theirs := coalesce(columns ->> ours, ours);
        type := airflow_jobmon.column_type(jobs_log, theirs);
        IF type IS NULL AND ours IN ('records_updated', 'error_message') AND NOT columns ? ours THEN
            mapped := mapped || jsonb_build_object(ours, 'NULL');
            CONTINUE;
        END IF;
        IF type IS NULL THEN
            RAISE EXCEPTION '% has no column %', jobs_log, quote_ident(theirs)
                USING ERRCODE = 'JM002', COLUMN = theirs,
                    HINT = format('map it in [jobmon] jobs_log_columns: %s=<its name there>', ours);
        END IF;
        -- Always in quotes: NEW.begin and NEW.end would be read as keywords of PL/pgSQL.
        reference := '%1$s."' || replace(replace(theirs, '"', '""'), '%', '%%') || '"';
        expression := airflow_jobmon.read_column(ours, reference, type);
        IF expression IS NULL THEN
            RAISE EXCEPTION 'column % of % is of type %, which cannot be read as %',
                quote_ident(theirs), jobs_log, type, ours
                USING ERRCODE = 'JM003',
                    HINT = CASE ours WHEN 'records_updated' THEN 'it must be a number'
                        ELSE 'it must be timestamp with time zone (or without, taken as UTC)' END;
        END IF;
        mapped := mapped || jsonb_build_object(ours, expression) || CASE ours
            WHEN 'id' THEN jsonb_build_object('id_raw', reference)
            WHEN 'job_name' THEN jsonb_build_object('job_key', airflow_jobmon.job_name_key(theirs, type))
            WHEN 'started_at' THEN
                jsonb_build_object('start_key', airflow_jobmon.read_column(ours, quote_ident(theirs), type))
            ELSE '{}'
        END;
    END LOOP;
    RETURN mapped || jsonb_build_object(
        'failed', airflow_jobmon.read_failed(mapped ->> 'status', status_words),
        'status', airflow_jobmon.read_status(mapped ->> 'status', status_words));
END $$;

-- The table of the last call of `attach`, and how it is read.
CREATE OR REPLACE FUNCTION airflow_jobmon.installed_mapping(OUT jobs_log regclass, OUT mapped jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    SELECT i.jobs_log_table::regclass,
        airflow_jobmon.mapping(i.jobs_log_table::regclass, i.jobs_log_columns, i.status_words)
    INTO jobs_log, mapped
    FROM airflow_jobmon.installation i;
END $$;
