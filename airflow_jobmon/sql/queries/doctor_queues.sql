-- The queries of `airflow jobmon doctor` on work in progress: day counting, events, watchers, deliveries, channels. As in
-- doctor.sql, they only read and are cheap.

-- name: counted_days
-- The days that are counted, and the last day (cold) that could be. marked: changes to counted days are noticed. held:
-- older transactions must end first; pid, who and age are those of the oldest one that our role may see.
SELECT r.sealed_from, r.sealed_through, airflow_jobmon.last_cold_day() AS cold,
    clock_timestamp() - i.installed_at AS installed, airflow_jobmon.changes_are_marked(s.members) AS marked,
    coalesce(s.barrier >= pg_snapshot_xmin(pg_current_snapshot()), false) AS held, holder.pid, holder.who, holder.age
FROM airflow_jobmon.sealing s
CROSS JOIN airflow_jobmon.installation i
LEFT JOIN airflow_jobmon.sealed_range r ON true
LEFT JOIN LATERAL (
    SELECT a.pid, coalesce(nullif(a.application_name, ''), a.usename::text) AS who, clock_timestamp() - a.xact_start AS age
    FROM pg_stat_activity a
    WHERE a.backend_xid IS NOT NULL
    ORDER BY age(a.backend_xid) DESC
    LIMIT 1
) holder ON true

-- name: waiting_events
-- Failed runs that are recorded and not evaluated yet; the count stops at 1000.
SELECT (SELECT count(*) FROM (SELECT FROM airflow_jobmon.events LIMIT 1000) AS few) AS waiting,
    (SELECT clock_timestamp() - at FROM airflow_jobmon.events ORDER BY id LIMIT 1) AS oldest

-- name: watchers
-- The watchers, newest heartbeat first.
SELECT kind, host, pid, delivers, listens, clock_timestamp() - seen_at AS silent
FROM airflow_jobmon.watchers
ORDER BY seen_at DESC
LIMIT 20

-- name: pending_deliveries
-- Pending deliveries per channel; the counts stop at 10,000 in total.
SELECT d.channel, count(*) AS waiting, clock_timestamp() - min(a.created_at) AS oldest, max(d.last_error) AS error,
    max(d.attempts) AS attempts
FROM (SELECT alert_id, channel, last_error, attempts FROM airflow_jobmon.deliveries WHERE state = 'pending' LIMIT 10000) d
JOIN airflow_jobmon.alerts a ON a.id = d.alert_id
GROUP BY d.channel
ORDER BY oldest DESC

-- name: channel_names
-- addressed: channels that jobs name for themselves or that have pending deliveries. notifiers: channels that a task gave
-- as a notifier in the last 30 days. without_own: how many enabled jobs have no channels of their own.
SELECT
    ARRAY(
        SELECT DISTINCT named.channel
        FROM airflow_jobmon.jobs j
        CROSS JOIN LATERAL jsonb_array_elements_text(
            CASE jsonb_typeof(j.config -> 'channels') WHEN 'array' THEN j.config -> 'channels' ELSE '[]' END) AS named (channel)
        UNION
        SELECT channel FROM airflow_jobmon.deliveries WHERE state = 'pending'
        ORDER BY 1
    ) AS addressed,
    ARRAY(
        SELECT name FROM airflow_jobmon.channels
        WHERE notifier_seen_at > clock_timestamp() - interval '30 days' ORDER BY name
    ) AS notifiers,
    (SELECT count(*) FROM airflow_jobmon.jobs WHERE jsonb_typeof(config -> 'channels') IS DISTINCT FROM 'array'
        AND coalesce((config ->> 'enabled')::boolean, true)) AS without_own

-- name: channel_history
-- The outcome of the last deliveries on these channels. dead: refused for good, among the alerts of the last 7 days.
SELECT c.name, c.failures, c.last_error, clock_timestamp() - c.last_sent_at AS since_sent,
    clock_timestamp() - c.last_error_at AS since_error,
    coalesce(c.last_error_at > coalesce(c.last_sent_at, '-infinity'), false) AS last_failed,
    dead.count AS dead, dead.error AS dead_error, coalesce(dead.newest > coalesce(c.last_sent_at, '-infinity'), false)
        AS last_dead
FROM airflow_jobmon.channels c
CROSS JOIN LATERAL (
    SELECT count(*) AS count, max(a.created_at) AS newest,
        (array_agg(d.last_error ORDER BY a.id DESC))[1] AS error
    FROM airflow_jobmon.alerts a
    JOIN airflow_jobmon.deliveries d ON d.alert_id = a.id AND d.channel = c.name
    WHERE a.created_at > clock_timestamp() - interval '7 days' AND d.state = 'dead'
) dead
WHERE c.name = ANY (%(names)s)
