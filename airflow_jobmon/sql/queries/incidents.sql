-- name: claim_events
-- Claims the oldest events that no other evaluation has claimed; they are deleted when that evaluation commits.
-- A client that vanishes would leave its session, and its locks, open for hours: so the session gets 20 s.
DELETE FROM airflow_jobmon.events
WHERE (SELECT set_config('idle_in_transaction_session_timeout', '20s', true)) IS NOT NULL
    AND id IN (SELECT id FROM airflow_jobmon.events ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING run_id AS id, job_name, greatest(least(started_at, '9999-01-01'), '1900-01-01') AS started_at,
    CASE WHEN isfinite(completed_at) AND completed_at < '9999-01-01' THEN completed_at END AS completed_at,
    'failed' AS status, error_message

-- name: ensure_states
INSERT INTO airflow_jobmon.job_state (job_name)
SELECT name FROM unnest(%(names)s::text[]) AS given (name) ORDER BY name
ON CONFLICT DO NOTHING

-- name: lock_states
-- In order of name, so that two evaluations never deadlock; the time limit is that of claim_events.
SELECT st.job_name, st.first_seen_at, st.window_finished, st.window_succeeded, j.config::text AS config,
    j.registered_at, j.scheduled_since, st.rhythm::text AS rhythm, st.trends::text AS trends, st.trends_on,
    st.found_started_at
FROM unnest(%(names)s::text[], %(checked_at)s::timestamptz[]) AS given (name, checked_at)
JOIN airflow_jobmon.job_state st ON st.job_name = given.name
LEFT JOIN airflow_jobmon.jobs j ON j.name = st.job_name
WHERE (SELECT set_config('idle_in_transaction_session_timeout', '20s', true)) IS NOT NULL
    AND (NOT %(if_unchanged)s OR st.checked_at IS NOT DISTINCT FROM given.checked_at)
ORDER BY st.job_name
FOR UPDATE OF st

-- name: read_states
SELECT given.name AS job_name, coalesce(st.first_seen_at, clock_timestamp()) AS first_seen_at, st.window_finished,
    st.window_succeeded, j.config::text AS config, j.registered_at, j.scheduled_since, st.rhythm::text AS rhythm,
    st.trends::text AS trends, st.trends_on, st.found_started_at
FROM unnest(%(names)s::text[]) AS given (name)
LEFT JOIN airflow_jobmon.job_state st ON st.job_name = given.name
LEFT JOIN airflow_jobmon.jobs j ON j.name = given.name
ORDER BY given.name

-- name: registered_names
SELECT name FROM airflow_jobmon.jobs

-- name: names_with_incidents
SELECT DISTINCT job_name FROM airflow_jobmon.incidents WHERE resolved_at IS NULL

-- name: installation
-- When this was installed, and the channels that an operator was recently given as notifiers.
SELECT installed_at, ARRAY(
    SELECT name FROM airflow_jobmon.channels
    WHERE notifier_seen_at > clock_timestamp() - interval '30 days' ORDER BY name) AS notifier_channels
FROM airflow_jobmon.installation

-- name: open_incidents
SELECT job_name, id, kind, severity, opened_at, detected_at, told_at, occurrences, error_texts, silenced_at,
    acknowledged_at
FROM airflow_jobmon.incidents
WHERE resolved_at IS NULL AND job_name = ANY (%(names)s)

-- name: silences
-- Includes those that ended in the last hour, for evaluations whose clock is behind.
SELECT name, ends_at, reason, silenced_by FROM airflow_jobmon.silences
WHERE ends_at > clock_timestamp() - interval '1 hour'

-- name: known_occurrences
SELECT o.job_name, o.run_id
FROM airflow_jobmon.occurrences o
JOIN unnest(%(job_names)s::text[], %(run_ids)s::text[], %(started_at)s::timestamptz[]) AS given (job_name, run_id, started_at)
    USING (job_name, run_id, started_at)

-- name: still_failed
-- Which of these runs the log still shows as failed.
SELECT given.job_name, given.run_id
FROM unnest(%(job_names)s::text[], %(run_ids)s::text[], %(started_at)s::timestamptz[]) AS given (job_name, run_id, started_at)
JOIN airflow_jobmon.runs r
    ON r.job_name = given.job_name AND r.started_at = given.started_at AND r.id = given.run_id AND r.status = 'failed'

-- name: failures_in_a_row
-- For each of these failed runs, how many runs in a row had failed up to it, among the newest 2,000 runs of its job.
-- As in `facts`, a run that ended later than it does not count.
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(%(job_names)s::text[], %(run_ids)s::text[], %(started_at)s::timestamptz[])
        AS given (job_name, run_id, started_at)
), run AS MATERIALIZED (
    SELECT j.job_name, recent.*, count(*) FILTER (WHERE recent.status = 'success') OVER (
        PARTITION BY j.job_name ORDER BY recent.started_at, recent.ended_at) AS successes
    FROM (SELECT DISTINCT job_name FROM given) j
    CROSS JOIN LATERAL (
        SELECT r.id, r.started_at, coalesce(r.completed_at, r.started_at) AS ended_at, r.status
        FROM airflow_jobmon.runs r
        WHERE r.job_name = j.job_name AND NOT r.drill
        ORDER BY r.started_at DESC
        LIMIT 2000
    ) recent
    WHERE recent.status IN ('success', 'failed')
)
SELECT last.job_name, last.id AS run_id, count(*) AS in_a_row
FROM given
JOIN run last ON last.job_name = given.job_name AND last.id = given.run_id AND last.started_at = given.started_at
JOIN run ON run.job_name = last.job_name AND run.status = 'failed' AND run.successes = last.successes
    AND (run.started_at, run.ended_at) <= (last.started_at, last.ended_at) AND run.ended_at <= last.ended_at
GROUP BY last.job_name, last.id, last.started_at

-- name: insert_occurrences
INSERT INTO airflow_jobmon.occurrences (job_name, run_id, started_at, incident_id)
SELECT job_name, run_id, started_at, incident_id
FROM jsonb_to_recordset(%(rows)s) AS given (job_name text, run_id text, started_at timestamptz, incident_id bigint)
ON CONFLICT DO NOTHING

-- name: draw_ids
SELECT nextval('airflow_jobmon.incidents_id_seq') FROM generate_series(1, %(count)s)

-- name: insert_incidents
INSERT INTO airflow_jobmon.incidents
    (id, job_name, kind, severity, opened_at, detected_at, resolved_at, occurrences, message, observed, threshold,
     error_message, error_texts, told_at, silenced_at)
OVERRIDING SYSTEM VALUE
SELECT id, job_name, kind, severity, opened_at, %(now)s, resolved_at, occurrences, message, observed, threshold,
    error_message, ARRAY(SELECT jsonb_array_elements_text(error_texts)), CASE WHEN notified THEN %(now)s::timestamptz END,
    CASE WHEN silenced THEN %(now)s::timestamptz END
FROM jsonb_to_recordset(%(rows)s) AS given (
    id bigint, job_name text, kind text, severity text, opened_at timestamptz, resolved_at timestamptz,
    occurrences integer, message text, observed jsonb, threshold jsonb, error_message text, error_texts jsonb,
    notified boolean, silenced boolean)
ORDER BY id

-- name: update_incidents
-- Keeps the newest fifty error texts. A told_at in the future was written before the clock was set back, and would put
-- off the next repetition for as long.
UPDATE airflow_jobmon.incidents i
SET severity = given.severity, occurrences = i.occurrences + given.new_occurrences, message = given.message,
    observed = given.observed, threshold = given.threshold,
    error_message = coalesce(given.error_message, i.error_message),
    error_texts = (SELECT texts[greatest(1, cardinality(texts) - 49):] FROM (
        SELECT i.error_texts || ARRAY(
            SELECT text FROM jsonb_array_elements_text(given.new_texts) AS text WHERE text <> ALL (i.error_texts)
        ) AS texts) AS together),
    told_at = CASE WHEN given.notified OR i.told_at > %(now)s THEN %(now)s ELSE i.told_at END,
    silenced_at = CASE WHEN given.notified THEN NULL
        WHEN given.silenced THEN greatest(%(now)s, i.acknowledged_at + interval '1 microsecond') ELSE i.silenced_at END
FROM jsonb_to_recordset(%(rows)s) AS given (
    id bigint, severity text, new_occurrences integer, message text, observed jsonb, threshold jsonb,
    error_message text, new_texts jsonb, notified boolean, silenced boolean)
WHERE i.id = given.id

-- name: resolve_incidents
UPDATE airflow_jobmon.incidents i
SET resolved_at = greatest(given.resolved_at, i.opened_at), silenced_at = NULL
FROM jsonb_to_recordset(%(rows)s) AS given (id bigint, resolved_at timestamptz)
WHERE i.id = given.id

-- name: insert_alerts
-- Each alert with its deliveries: one per channel it names, or, where it names none (null), per channel that was
-- notified of the incident before. Alerts that a silence holds back are recorded and not sent.
WITH given AS MATERIALIZED (
    SELECT nextval('airflow_jobmon.alerts_id_seq') AS id, t.*
    FROM jsonb_to_recordset(%(rows)s) AS t (
        n integer, incident_id bigint, job_name text, kind text, event text, severity text, details jsonb,
        channels jsonb, silenced text)
    ORDER BY n
), alert AS (
    INSERT INTO airflow_jobmon.alerts (id, incident_id, job_name, kind, event, severity, details)
    OVERRIDING SYSTEM VALUE
    SELECT id, incident_id, job_name, kind, event, severity, details FROM given
), addressed AS (
    SELECT given.id, given.job_name, channel, given.silenced
    FROM given, jsonb_array_elements_text(CASE jsonb_typeof(channels) WHEN 'array' THEN channels ELSE '[]' END) AS channel
    UNION
    SELECT given.id, given.job_name, d.channel, given.silenced
    FROM given
    JOIN airflow_jobmon.alerts a USING (incident_id)
    JOIN airflow_jobmon.deliveries d ON d.alert_id = a.id
    WHERE given.channels IS NULL AND d.state IN ('pending', 'sent')
)
INSERT INTO airflow_jobmon.deliveries (alert_id, channel, job_name, state, last_error)
SELECT id, channel, job_name, CASE WHEN silenced IS NULL THEN 'pending' ELSE 'silenced' END, silenced FROM addressed

-- name: store_health
UPDATE airflow_jobmon.job_state st
SET checked_at = %(now)s, health = given.health, verdict = given.verdict, due_at = given.due_at,
    judge_at = given.judge_at, newest_run = given.newest_run,
    window_finished = coalesce(given.window_finished, st.window_finished),
    window_succeeded = coalesce(given.window_succeeded, st.window_succeeded),
    window_at = CASE WHEN given.window_finished IS NULL THEN st.window_at ELSE %(now)s END,
    last_success_at = given.last_success_at
FROM jsonb_to_recordset(%(rows)s) AS given (
    job_name text, health text, verdict jsonb, due_at timestamptz, judge_at timestamptz, newest_run text,
    window_finished integer, window_succeeded integer, last_success_at timestamptz)
WHERE st.job_name = given.job_name

-- name: wake
SELECT pg_notify('airflow_jobmon', '')
