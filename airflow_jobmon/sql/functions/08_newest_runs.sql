-- What the queries that look at every job's newest runs have in common. Created again by every migrate; nothing in here
-- holds data.

-- What tells one state of a run from another. Written into each query that uses it, so it costs no call; in whole
-- microseconds, which are written faster than decimals, and alike whatever a session's settings are.
CREATE OR REPLACE FUNCTION airflow_jobmon.mark(id text, started_at timestamptz, completed_at timestamptz, status text)
RETURNS text LANGUAGE sql STABLE AS $$
    SELECT concat_ws('|', id, (date_part('epoch', started_at) * 1000000)::bigint,
        (date_part('epoch', completed_at) * 1000000)::bigint, status)
$$;

-- Whether the index that serves, read so that it meets each job's newest run first, meets the jobs in order of name, or
-- else in the opposite order; without an index either will do. As its owner, since who watches may have no right to the
-- job log's schema.
CREATE OR REPLACE FUNCTION airflow_jobmon.newest_first() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((
        SELECT (x.indoption[0] & 1) <> (x.indoption[1] & 1)
        FROM (
            SELECT i.jobs_log_table::regclass AS jobs_log,
                airflow_jobmon.mapping(i.jobs_log_table::regclass, i.jobs_log_columns, i.status_words) AS mapped
            FROM airflow_jobmon.installation i
        ) m
        JOIN pg_index x ON x.indexrelid
            = airflow_jobmon.serving_index(m.jobs_log, m.mapped ->> 'job_key', m.mapped ->> 'start_key')
    ), true)
$$;
