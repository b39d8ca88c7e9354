-- What the queries for the newest runs of every job have in common.

-- A text that changes whenever the state of a run does. Inlined into each query that uses it, so it costs no call; in
-- whole microseconds, which are formatted faster than decimals, and alike under all settings of a session.
CREATE OR REPLACE FUNCTION airflow_jobmon.mark(id text, started_at timestamptz, completed_at timestamptz, status text)
RETURNS text LANGUAGE sql STABLE AS $$
    SELECT concat_ws('|', id, (date_part('epoch', started_at) * 1000000)::bigint,
        (date_part('epoch', completed_at) * 1000000)::bigint, status)
$$;

-- Whether the index that serves, scanned so that it meets the newest run of each job first, meets the jobs in order of
-- name (true) or in the opposite order; without an index either order will do. With the rights of its owner, since the
-- role that monitors may lack rights on the schema of the job log.
CREATE OR REPLACE FUNCTION airflow_jobmon.newest_first() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((
        SELECT (x.indoption[0] & 1) <> (x.indoption[1] & 1)
        FROM airflow_jobmon.installed_mapping() i
        JOIN pg_index x ON x.indexrelid
            = airflow_jobmon.serving_index(i.jobs_log, i.mapped ->> 'job_key', i.mapped ->> 'start_key')
    ), true)
$$;
