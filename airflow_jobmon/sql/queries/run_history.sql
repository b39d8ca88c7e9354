-- name: histories
-- When the newest runs of each given job started, drills left out, and how many seconds each success took.
-- How many is a column and not a number: told more, the planner reads and sorts a job's whole history.
SELECT given.name, newest.starts, newest.seconds
FROM unnest(%(names)s::text[], array_fill(%(most)s::integer, ARRAY[cardinality(%(names)s::text[])])) AS given (name, most)
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(h.started_at ORDER BY h.started_at), '{}') AS starts,
        coalesce(array_agg(extract(epoch FROM h.completed_at - h.started_at)::double precision) FILTER (
            WHERE h.status = 'success' AND h.completed_at >= h.started_at
                AND h.completed_at < h.started_at + interval '10 years'), '{}') AS seconds
    FROM (
        SELECT h.started_at, h.completed_at, h.status
        FROM airflow_jobmon.history h
        WHERE h.job_name = given.name AND NOT h.drill AND h.started_at <= now()
            AND h.started_at > now() - make_interval(days => %(days)s)
        ORDER BY h.started_at DESC
        LIMIT given.most
    ) h
) newest
ORDER BY given.name

-- name: zones
-- The zones that a job of this database may be scheduled in: pg_cron's, where it is there, and the database's own, which
-- a connection's is reset to.
SELECT coalesce(reset_val, setting)
FROM pg_settings
WHERE name IN ('cron.timezone', 'TimeZone')
ORDER BY name <> 'cron.timezone'
