-- How the user's table is read. Created again by every migrate; nothing in here holds data.
-- Mistakes in the configuration are raised with codes of our own: JM001 the table, JM002 a column, JM003 its type.

-- The two parts of a table's name as it is configured; without a schema, public is meant.
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
        RAISE EXCEPTION 'jobs_log_table %: no table is written like that', given USING ERRCODE = 'JM001',
            HINT = 'write schema.table, with double quotes around what is not plain lower case: "My Schema"."Jobs-Log"';
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
        RAISE EXCEPTION 'there is no table %', format('%I.%I', parts[1], parts[2])
            USING ERRCODE = 'JM001', TABLE = parts[2], SCHEMA = parts[1];
    END IF;
    IF found_kind NOT IN ('r', 'p') THEN
        RAISE EXCEPTION '% is no table but a %', format('%I.%I', parts[1], parts[2]),
            CASE found_kind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
                ELSE 'relation of another kind' END
            USING ERRCODE = 'JM001', HINT = 'name the table that the jobs write to';
    END IF;
    RETURN found_oid::regclass;
END $$;

-- For each of our columns an expression over theirs, as a template for format(): %1$s is what the column belongs to
-- (`log` in the view, `NEW` and `OLD` in the trigger). Besides: `id_raw`, the id in its own type; `failed`, whether the run failed; `job_key` and
-- `start_key`, what an index must have as its first two columns (null where no index can serve).
CREATE OR REPLACE FUNCTION airflow_jobmon.mapping(jobs_log regclass, columns jsonb, status_words jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
    ours text;
    theirs text;
    kind regtype;
    named text;
    quoted text;
    ref text;
    mapped jsonb := '{}';
    words text[];
    cases text := '';
BEGIN
    FOREACH ours IN ARRAY
        ARRAY['id', 'job_name', 'started_at', 'completed_at', 'records_updated', 'status', 'error_message']
    LOOP
        theirs := coalesce(columns ->> ours, ours);
        WITH RECURSIVE chain AS (
            SELECT t.oid, t.typtype, t.typbasetype
            FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
            WHERE a.attrelid = jobs_log AND a.attname = theirs AND a.attnum > 0 AND NOT a.attisdropped
            UNION ALL
            SELECT t.oid, t.typtype, t.typbasetype
            FROM chain JOIN pg_type t ON t.oid = chain.typbasetype
            WHERE chain.typtype = 'd'
        )
        SELECT chain.oid INTO kind FROM chain WHERE chain.typtype <> 'd';
        IF kind IS NULL AND ours IN ('records_updated', 'error_message') AND NOT columns ? ours THEN
            mapped := mapped || jsonb_build_object(ours, 'NULL');
            CONTINUE;
        END IF;
        IF kind IS NULL THEN
            RAISE EXCEPTION '% has no column %', jobs_log, quote_ident(theirs)
                USING ERRCODE = 'JM002', COLUMN = theirs,
                    HINT = format('map it in [jobmon] jobs_log_columns: %s=<its name there>', ours);
        END IF;
        named := replace(quote_ident(theirs), '%', '%%');
        -- Quoted in any case: `NEW.begin` and `NEW.end` would be PL/pgSQL's own words.
        quoted := '"' || replace(replace(theirs, '"', '""'), '%', '%%') || '"';
        ref := '%1$s.' || quoted;
        IF ours IN ('started_at', 'completed_at') THEN
            -- Without a zone, or a day only, it is taken for UTC.
            ref := CASE kind
                WHEN 'timestamptz'::regtype THEN ref
                WHEN 'timestamp'::regtype THEN '(' || ref || ' AT TIME ZONE ''UTC'')'
                WHEN 'date'::regtype THEN '(' || ref || '::timestamp without time zone AT TIME ZONE ''UTC'')'
            END;
        ELSIF ours = 'records_updated' THEN
            ref := CASE
                WHEN kind IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) THEN ref
                WHEN kind IN ('numeric'::regtype, 'float4'::regtype, 'float8'::regtype)
                    THEN format('CASE WHEN %1$s BETWEEN -9e18 AND 9e18 THEN %1$s::bigint END', ref)
            END;
        ELSIF kind <> 'text'::regtype THEN
            ref := ref || '::text';
        END IF;
        IF ref IS NULL THEN
            RAISE EXCEPTION 'column % of % is of type %, which cannot be read as %',
                quote_ident(theirs), jobs_log, kind, ours
                USING ERRCODE = 'JM003',
                    HINT = CASE ours WHEN 'records_updated' THEN 'it must be a number'
                        ELSE 'it must be timestamp with time zone (or without, taken for UTC)' END;
        END IF;
        mapped := mapped || jsonb_build_object(ours, ref);
        IF ours = 'id' THEN
            mapped := mapped || jsonb_build_object('id_raw', '%1$s.' || quoted);
        ELSIF ours = 'started_at' THEN
            mapped := mapped || jsonb_build_object('start_key', format(replace(ref, '%1$s.' || quoted, named)));
        ELSIF ours = 'job_name' AND kind IN ('text'::regtype, 'varchar'::regtype) THEN
            mapped := mapped || jsonb_build_object('job_key', quote_ident(theirs));
        ELSIF ours = 'job_name' AND EXISTS (
            SELECT FROM pg_cast WHERE castsource = kind AND casttarget = 'text'::regtype AND castmethod = 'b')
        THEN
            mapped := mapped || jsonb_build_object('job_key', format('(%s::text)', quote_ident(theirs)));
        END IF;
    END LOOP;

    FOREACH ours IN ARRAY ARRAY['running', 'success', 'failed'] LOOP
        SELECT array_agg(word) INTO words FROM jsonb_array_elements_text(status_words -> ours) AS listed (word);
        IF words IS NOT NULL THEN
            cases := cases || format(' WHEN %s IN (%s) THEN %L', mapped ->> 'status',
                (SELECT string_agg(replace(quote_literal(word), '%', '%%'), ', ') FROM unnest(words) AS word), ours);
        END IF;
    END LOOP;
    SELECT array_agg(DISTINCT word) INTO words
    FROM (
        SELECT jsonb_array_elements_text(status_words -> 'failed') AS word
        UNION
        SELECT 'failed' WHERE NOT EXISTS (
            SELECT FROM jsonb_each(status_words) AS w (ours, theirs)
            WHERE w.ours <> 'failed' AND w.theirs ? 'failed')
    ) AS meaning_failed;
    RETURN mapped || jsonb_build_object(
        'failed', format('%s IN (%s)', mapped ->> 'status',
            (SELECT string_agg(replace(quote_literal(word), '%', '%%'), ', ' ORDER BY word) FROM unnest(words) AS word)),
        -- A run without any status is shown as one of a word nobody knows, not hidden.
        'status', CASE WHEN cases = '' THEN format('coalesce(%s, ''(none)'')', mapped ->> 'status')
            ELSE format('CASE%s ELSE coalesce(%s, ''(none)'') END', cases, mapped ->> 'status') END);
END $$;
