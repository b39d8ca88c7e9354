-- UTC days, and the moments they begin.

CREATE OR REPLACE FUNCTION airflow_jobmon.day_of(moment timestamptz) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT (moment AT TIME ZONE 'UTC')::date $$;

CREATE OR REPLACE FUNCTION airflow_jobmon.day_start(day date) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT day::timestamp without time zone AT TIME ZONE 'UTC' $$;
