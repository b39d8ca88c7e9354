-- The outbox: leases messages, and records the outcome of each.

-- name: ensure_channels
-- A row for each channel, which is locked while its alerts are grouped.
INSERT INTO airflow_jobmon.channels (name) SELECT unnest(%(names)s::text[]) ON CONFLICT DO NOTHING

-- name: ensure_notifiers
-- Channels that a task has as notifiers: alerts are addressed to them for 30 days.
INSERT INTO airflow_jobmon.channels (name, notifier_seen_at) SELECT unnest(%(names)s::text[]), clock_timestamp()
ON CONFLICT (name) DO UPDATE SET notifier_seen_at = excluded.notifier_seen_at

-- name: lock_channel
-- One process at a time groups the alerts of a channel into messages, so that a resolution never overtakes its incident.
-- No row: another process holds the lock now, or the channel is paused.
-- A machine that vanishes in the middle leaves its session, and this lock, for hours: so the session has 20 s.
-- The next two statements are sent in the same round trip and do nothing unless `leasing` shows that we hold the lock.
-- `leasing` is set outside the locking subquery, since a row is projected before it is locked or skipped.
SELECT failures, set_config('airflow_jobmon.leasing', name, true)
FROM (
    SELECT name, failures FROM airflow_jobmon.channels
    WHERE (SELECT set_config('idle_in_transaction_session_timeout', '20s', true)) IS NOT NULL
        AND (SELECT set_config('airflow_jobmon.leasing', '', true)) IS NOT NULL
        AND name = %(channel)s AND coalesce(paused_until, '-infinity') <= clock_timestamp()
    FOR UPDATE SKIP LOCKED
) held

-- name: lease_message
-- A stored message that is due, or whose holder is dead. If there is one, no alerts are leased.
WITH leased AS (
UPDATE airflow_jobmon.messages m
SET leased_by = %(holder)s, leased_until = clock_timestamp() + %(lease)s, attempts = m.attempts + 1
WHERE m.id = (
    SELECT c.id FROM airflow_jobmon.messages c
    WHERE c.channel = current_setting('airflow_jobmon.leasing', true) AND c.state = 'open'
        AND c.next_attempt_at <= clock_timestamp()
        AND coalesce(c.leased_until, '-infinity') < clock_timestamp()
    ORDER BY c.next_attempt_at
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
RETURNING m.id, m.body, m.recipients, m.attempts
), counted AS (
    UPDATE airflow_jobmon.deliveries d SET attempts = d.attempts + 1 FROM leased
    WHERE d.message_id = leased.id AND d.state = 'pending'
)
SELECT id, body, recipients, attempts,
    (SELECT count(*) FROM airflow_jobmon.deliveries d WHERE d.message_id = leased.id) AS alerts,
    set_config('airflow_jobmon.leasing', '', true)
FROM leased

-- name: due_alerts
-- The alerts that are in no message yet, in order, with their age.
SELECT d.alert_id, a.details, clock_timestamp() - a.created_at AS age
FROM airflow_jobmon.deliveries_next d
JOIN airflow_jobmon.alerts a ON a.id = d.alert_id
WHERE d.channel = current_setting('airflow_jobmon.leasing', true) AND d.next_attempt_at <= clock_timestamp()
ORDER BY d.alert_id
LIMIT %(limit)s
FOR UPDATE OF d

-- name: store_message
-- Before the first sending, so that every later one sends the same bytes.
WITH message AS (
    INSERT INTO airflow_jobmon.messages (id, channel, body, attempts, leased_by, leased_until)
    VALUES (%(id)s, %(channel)s, %(body)s, 1, %(holder)s, clock_timestamp() + %(lease)s)
)
UPDATE airflow_jobmon.deliveries SET message_id = %(id)s, attempts = attempts + 1
WHERE channel = %(channel)s AND alert_id = ANY (%(alert_ids)s)

-- name: pause_channel
-- Never shortens a pause.
UPDATE airflow_jobmon.channels SET paused_until = greatest(paused_until, clock_timestamp() + %(pause)s)
WHERE name = %(channel)s

-- name: mark_sent
-- Only if the lease is still ours: otherwise the process that took it over decides.
WITH message AS (
    UPDATE airflow_jobmon.messages SET state = 'sent', sent_at = clock_timestamp(), leased_by = NULL, leased_until = NULL
    WHERE id = %(id)s AND leased_by = %(holder)s AND state = 'open'
    RETURNING id, channel
), channel AS (
    UPDATE airflow_jobmon.channels c
    SET failures = 0, last_sent_at = clock_timestamp(), dead_told_at = NULL
    FROM message WHERE c.name = message.channel
), delivered AS (
    UPDATE airflow_jobmon.deliveries d
    SET state = 'sent', sent_at = clock_timestamp(), last_error = %(error)s
    FROM message
    WHERE d.message_id = message.id AND d.state = 'pending'
)
SELECT id FROM message

-- name: mark_partly_sent
-- Some recipients have the message; the others, named here, get the same bytes again.
WITH message AS (
    UPDATE airflow_jobmon.messages
    SET recipients = %(recipients)s, last_error = %(error)s, next_attempt_at = clock_timestamp() + %(wait)s, leased_by = NULL, leased_until = NULL
    WHERE id = %(id)s AND leased_by = %(holder)s AND state = 'open'
    RETURNING id
), delivered AS (
    UPDATE airflow_jobmon.deliveries d
    SET last_error = %(error)s, next_attempt_at = clock_timestamp() + %(wait)s
    FROM message
    WHERE d.message_id = message.id AND d.state = 'pending'
)
SELECT id FROM message

-- name: mark_retry
-- The channel may have accepted the message: the same bytes are sent again.
WITH message AS (
    UPDATE airflow_jobmon.messages
    SET next_attempt_at = clock_timestamp() + %(wait)s, last_error = %(error)s, leased_by = NULL, leased_until = NULL
    WHERE id = %(id)s AND leased_by = %(holder)s AND state = 'open'
    RETURNING id, channel
), channel AS (
    UPDATE airflow_jobmon.channels c
    SET failures = c.failures + 1, last_error = %(error)s, last_error_at = clock_timestamp(),
        paused_until = greatest(c.paused_until, clock_timestamp() + %(pause)s)
    FROM message WHERE c.name = message.channel
), delivered AS (
    UPDATE airflow_jobmon.deliveries d
    SET last_error = %(error)s, next_attempt_at = clock_timestamp() + %(wait)s
    FROM message
    WHERE d.message_id = message.id AND d.state = 'pending'
)
SELECT id FROM message

-- name: mark_rejected
-- The channel did not accept the message: its alerts may be regrouped with newer ones. A report is sent unchanged.
WITH message AS (
    UPDATE airflow_jobmon.messages
    SET state = CASE WHEN report_id IS NULL THEN 'regrouped' ELSE 'open' END,
        next_attempt_at = clock_timestamp() + %(wait)s, last_error = %(error)s, leased_by = NULL, leased_until = NULL
    WHERE id = %(id)s AND leased_by = %(holder)s AND state = 'open'
    RETURNING id, channel
), channel AS (
    UPDATE airflow_jobmon.channels c
    SET failures = c.failures + 1, last_error = %(error)s, last_error_at = clock_timestamp(),
        paused_until = greatest(c.paused_until, clock_timestamp() + %(pause)s)
    FROM message WHERE c.name = message.channel
), delivered AS (
    UPDATE airflow_jobmon.deliveries d
    SET last_error = %(error)s, next_attempt_at = clock_timestamp() + %(wait)s, message_id = NULL
    FROM message
    WHERE d.message_id = message.id AND d.state = 'pending'
)
SELECT id FROM message

-- name: mark_dead
-- The channel will not accept the message; returns the alerts that it does not deliver.
WITH message AS (
    UPDATE airflow_jobmon.messages SET state = 'dead', last_error = %(error)s, leased_by = NULL, leased_until = NULL
    WHERE id = %(id)s AND leased_by = %(holder)s AND state = 'open'
    RETURNING id, channel
), channel AS (
    UPDATE airflow_jobmon.channels c SET last_error = %(error)s, last_error_at = clock_timestamp()
    FROM message WHERE c.name = message.channel
)
UPDATE airflow_jobmon.deliveries d
SET state = 'dead', last_error = %(error)s
FROM message
WHERE d.message_id = message.id AND d.state = 'pending'
RETURNING d.job_name, d.alert_id

-- name: silence_resolutions
-- A channel that was not notified of an incident is not notified of its end.
UPDATE airflow_jobmon.deliveries r
SET state = 'silenced', last_error = 'the alert that it resolves was not delivered here'
FROM airflow_jobmon.alerts a
WHERE a.id = r.alert_id AND a.event = 'resolved' AND r.channel = %(channel)s AND r.state = 'pending'
    AND r.message_id IS NULL
    AND a.incident_id IN (SELECT incident_id FROM airflow_jobmon.alerts WHERE id = ANY (%(alert_ids)s))
    AND NOT EXISTS (
        SELECT FROM airflow_jobmon.alerts b JOIN airflow_jobmon.deliveries d ON d.alert_id = b.id
        WHERE b.incident_id = a.incident_id AND b.event <> 'resolved' AND d.channel = r.channel
            AND d.state IN ('pending', 'sent'))

-- name: other_channels
-- Other channels that accepted a message recently.
SELECT name FROM airflow_jobmon.channels
WHERE name <> %(channel)s AND last_sent_at > clock_timestamp() - interval '30 days'

-- name: claim_dead_channel
-- One row if other channels are to be notified now that this one is dead: once, and again if it worked in between, or
-- after a day.
UPDATE airflow_jobmon.channels SET dead_told_at = clock_timestamp()
WHERE name = %(channel)s AND coalesce(dead_told_at, '-infinity') < clock_timestamp() - interval '24 hours'
RETURNING name

-- name: mark_unrenderable
-- Alerts that cannot be rendered: dead, and shown as dead.
UPDATE airflow_jobmon.deliveries SET state = 'dead', last_error = %(error)s
WHERE channel = %(channel)s AND alert_id = ANY (%(alert_ids)s)

-- name: seconds_until_due
-- Seconds until this channel has something to send that is not leased; null: nothing is pending.
SELECT extract(epoch FROM greatest(
    coalesce((SELECT paused_until FROM airflow_jobmon.channels WHERE name = %(channel)s), '-infinity'),
    least(
        (SELECT min(greatest(m.next_attempt_at, coalesce(m.leased_until, '-infinity')))
            FROM airflow_jobmon.messages m WHERE m.channel = %(channel)s AND m.state = 'open'),
        (SELECT min(d.next_attempt_at) FROM airflow_jobmon.deliveries_next d WHERE d.channel = %(channel)s)
    ),
    clock_timestamp()
) - clock_timestamp())::float8
WHERE EXISTS (
    SELECT FROM airflow_jobmon.deliveries d WHERE d.channel = %(channel)s AND d.state = 'pending'
) OR EXISTS (
    SELECT FROM airflow_jobmon.messages m
    WHERE m.channel = %(channel)s AND m.state = 'open' AND m.report_id IS NOT NULL
)

-- name: newest_due_alert
-- The newest alert on any channel that is due and not leased; null: none; 0: a report.
SELECT max(due.alert_id)
FROM (
    SELECT d.channel, d.alert_id FROM airflow_jobmon.deliveries_next d WHERE d.next_attempt_at <= clock_timestamp()
    UNION ALL
    SELECT m.channel, d.alert_id
    FROM airflow_jobmon.messages m
    JOIN airflow_jobmon.deliveries d ON d.message_id = m.id AND d.state = 'pending'
    WHERE m.state = 'open' AND m.next_attempt_at <= clock_timestamp()
        AND coalesce(m.leased_until, '-infinity') < clock_timestamp()
    UNION ALL
    SELECT m.channel, 0
    FROM airflow_jobmon.messages m
    WHERE m.state = 'open' AND m.report_id IS NOT NULL AND m.next_attempt_at <= clock_timestamp()
        AND coalesce(m.leased_until, '-infinity') < clock_timestamp()
) due
LEFT JOIN airflow_jobmon.channels c ON c.name = due.channel
WHERE coalesce(c.paused_until, '-infinity') <= clock_timestamp()

-- name: addressed_channels
-- The channels with something pending, and those in the settings of a job.
SELECT channel FROM airflow_jobmon.deliveries WHERE state = 'pending'
UNION
SELECT channel FROM airflow_jobmon.messages WHERE state = 'open' AND report_id IS NOT NULL
UNION
SELECT jsonb_array_elements_text(config -> 'channels') FROM airflow_jobmon.jobs
WHERE jsonb_typeof(config -> 'channels') = 'array'

-- name: notifier_channels
-- Channels that were recently given to an operator as notifiers; they have no Airflow connection.
SELECT name FROM airflow_jobmon.channels WHERE notifier_seen_at > clock_timestamp() - interval '30 days' ORDER BY name
