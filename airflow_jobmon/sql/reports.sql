-- Reports and the messages that carry them.

-- name: store_report
INSERT INTO airflow_jobmon.reports (kind, title, details) VALUES (%(kind)s, %(title)s, %(details)s) RETURNING id

-- name: store_messages
INSERT INTO airflow_jobmon.messages (id, channel, body, report_id)
SELECT id, channel, body, %(report_id)s
FROM unnest(%(ids)s::uuid[], %(channels)s::text[], %(bodies)s::bytea[]) AS given (id, channel, body)

-- name: messages_of
SELECT channel, state, attempts, sent_at, last_error, created_at
FROM airflow_jobmon.messages
WHERE report_id = %(report_id)s
ORDER BY channel

-- name: latest
-- The newest report of a kind.
SELECT id, created_at, details FROM airflow_jobmon.reports WHERE kind = %(kind)s ORDER BY created_at DESC, id DESC LIMIT 1

-- name: wake
SELECT pg_notify('airflow_jobmon', '')
