-- name: histories
-- The starts of the newest runs of each given job, drills left out, and the seconds of each success.
-- The limit is a subquery, not a number: a planner that knows it reads and sorts a job's whole history.
SELECT given.name, newest.starts, newest.seconds
FROM unnest(%(names)s::text[]) AS given (name)
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
        LIMIT (SELECT %(most)s::integer)
    ) h
) newest
ORDER BY given.name

-- name: zones
-- The time zones that jobs of this database may be scheduled in: that of pg_cron, where it is installed, and the
-- database's own default.
SELECT coalesce(reset_val, setting)
FROM pg_settings
WHERE name IN ('cron.timezone', 'TimeZone')
ORDER BY name <> 'cron.timezone'
