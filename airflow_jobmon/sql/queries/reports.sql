-- Reports and the messages that carry them.

-- name: store_report
-- With a key that exists already, it replaces the report of the earlier attempt, whose row stays locked to the end.
INSERT INTO airflow_jobmon.reports (kind, title, details, key)
VALUES (%(kind)s, %(title)s, %(details)s, %(key)s)
ON CONFLICT (key) WHERE key IS NOT NULL DO UPDATE SET title = excluded.title, details = excluded.details
RETURNING id

-- name: store_messages
-- Not for a channel that an earlier attempt reached, or still may reach.
INSERT INTO airflow_jobmon.messages (id, channel, body, report_id)
SELECT id, channel, body, %(report_id)s
FROM unnest(%(ids)s::uuid[], %(channels)s::text[], %(bodies)s::bytea[]) AS given (id, channel, body)
WHERE NOT EXISTS (
    SELECT FROM airflow_jobmon.messages m
    WHERE m.report_id = %(report_id)s AND m.channel = given.channel AND m.state <> 'dead')

-- name: messages_of
-- The newest message of each channel.
SELECT DISTINCT ON (channel) channel, state, attempts, sent_at, last_error, created_at
FROM airflow_jobmon.messages
WHERE report_id = %(report_id)s
ORDER BY channel, created_at DESC

-- name: latest
-- The newest report of a kind, of all jobs or of this one alone, other than that with this key.
SELECT id, created_at, details
FROM airflow_jobmon.reports
WHERE kind = %(kind)s AND (%(but)s::text IS NULL OR key IS DISTINCT FROM %(but)s)
    AND (details #>> '{details,job_name}' IS NULL OR details #>> '{details,job_name}' = %(job_name)s)
ORDER BY created_at DESC, id DESC
LIMIT 1

-- name: wake
SELECT pg_notify('airflow_jobmon', '')
