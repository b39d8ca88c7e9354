-- Everything of ours lives in the schema airflow_jobmon; the user's table gains triggers only (see attach.sql).

-- One row: how this installation reads the job log, and since when it watches.
CREATE TABLE airflow_jobmon.installation (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    installed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    jobs_log_table text,
    jobs_log_columns jsonb NOT NULL DEFAULT '{}',
    status_words jsonb NOT NULL DEFAULT '{}',
    triggers text                         -- digest of what the triggers were made from
);
INSERT INTO airflow_jobmon.installation DEFAULT VALUES;

-- The registry: one MonitoredJob each, as JSON, and who registered it.
CREATE TABLE airflow_jobmon.jobs (
    name text PRIMARY KEY,
    source text NOT NULL,
    config jsonb NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX jobs_source ON airflow_jobmon.jobs (source);

-- The stored verdict on each job, and what it was reached from. Locked (FOR UPDATE, in order of name) by whoever judges.
CREATE TABLE airflow_jobmon.job_state (
    job_name text PRIMARY KEY,
    first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    checked_at timestamptz,
    health text NOT NULL DEFAULT 'unknown' CHECK (health IN ('ok', 'unknown', 'warning', 'critical')),
    verdict jsonb NOT NULL DEFAULT '{}',  -- the whole health shape of this job
    due_at timestamptz,                   -- past this, the next run is missed
    judge_at timestamptz,                 -- when time alone may change the verdict
    newest_run text,                      -- (id, started_at, completed_at, status) of the newest run judged, to notice a change
    window_finished integer,              -- the success rate's counts, as of window_at
    window_succeeded integer,
    window_at timestamptz
) WITH (fillfactor = 70);
CREATE INDEX job_state_due_at ON airflow_jobmon.job_state (due_at);
CREATE INDEX job_state_judge_at ON airflow_jobmon.job_state (judge_at);

-- Append only, written by the trigger in the job's own transaction: a primary key and nothing else to keep up.
-- The id is microseconds, then chance: in order of time, and no sequence, which would change the job's lastval().
CREATE TABLE airflow_jobmon.events (
    id uuid PRIMARY KEY DEFAULT encode(overlay(uuid_send(gen_random_uuid()) PLACING
        int8send((extract(epoch FROM clock_timestamp()) * 1000000)::bigint) FROM 1 FOR 8), 'hex')::uuid,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    run_id text NOT NULL,
    job_name text NOT NULL,
    started_at timestamptz,
    completed_at timestamptz,
    error_message text                    -- cut to 4,000 characters
) WITH (vacuum_truncate = off, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE TABLE airflow_jobmon.incidents (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_name text NOT NULL,
    kind text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('warning', 'critical')),
    opened_at timestamptz NOT NULL,
    detected_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    resolved_at timestamptz,
    occurrences integer NOT NULL DEFAULT 1,
    message text NOT NULL,
    observed jsonb,
    threshold jsonb,
    error_message text,
    error_texts text[] NOT NULL DEFAULT '{}',  -- fingerprints of the error texts told so far
    told_at timestamptz                        -- when an alert about it was last created; null = recorded, never told
);
CREATE UNIQUE INDEX incidents_one_open ON airflow_jobmon.incidents (job_name, kind) WHERE resolved_at IS NULL;
CREATE INDEX incidents_opened_at ON airflow_jobmon.incidents (opened_at);

-- Each failed run is counted once, whatever found it.
CREATE TABLE airflow_jobmon.occurrences (
    job_name text NOT NULL,
    run_id text NOT NULL,
    started_at timestamptz NOT NULL,
    incident_id bigint REFERENCES airflow_jobmon.incidents ON DELETE CASCADE,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (job_name, run_id, started_at)
);
CREATE INDEX occurrences_incident_id ON airflow_jobmon.occurrences (incident_id);
CREATE INDEX occurrences_at ON airflow_jobmon.occurrences (at);

CREATE TABLE airflow_jobmon.alerts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id bigint REFERENCES airflow_jobmon.incidents ON DELETE CASCADE,  -- null for a drill or a dead channel
    job_name text NOT NULL,
    kind text NOT NULL,
    event text NOT NULL CHECK (event IN ('opened', 'repeated', 'resolved', 'test')),
    severity text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    details jsonb NOT NULL                -- everything a message says of it
);
CREATE INDEX alerts_incident_id ON airflow_jobmon.alerts (incident_id);
CREATE INDEX alerts_created_at ON airflow_jobmon.alerts (created_at);
CREATE INDEX alerts_job_name ON airflow_jobmon.alerts (job_name, id);

-- What one sending to one channel holds; its id is the idempotency key and the Message-ID, its body never changes.
CREATE TABLE airflow_jobmon.messages (
    id uuid PRIMARY KEY,
    channel text NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'sent', 'dead', 'regrouped')),
    body bytea NOT NULL,
    recipients text[],                    -- left to reach; null = all
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    leased_by uuid,
    leased_until timestamptz,             -- past this, the holder is taken for dead
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at timestamptz
) WITH (vacuum_truncate = off);
CREATE INDEX messages_created_at ON airflow_jobmon.messages (created_at);
CREATE INDEX messages_open ON airflow_jobmon.messages (channel, next_attempt_at) WHERE state = 'open';

CREATE TABLE airflow_jobmon.deliveries (
    alert_id bigint NOT NULL REFERENCES airflow_jobmon.alerts ON DELETE CASCADE,
    channel text NOT NULL,
    job_name text NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'dead', 'silenced')),
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    message_id uuid REFERENCES airflow_jobmon.messages,
    sent_at timestamptz,
    last_error text,
    PRIMARY KEY (alert_id, channel)
) WITH (vacuum_truncate = off, fillfactor = 70);
CREATE INDEX deliveries_pending ON airflow_jobmon.deliveries (channel, alert_id) WHERE state = 'pending';
CREATE INDEX deliveries_pending_job ON airflow_jobmon.deliveries (channel, job_name, alert_id) WHERE state = 'pending';
CREATE INDEX deliveries_message_id ON airflow_jobmon.deliveries (message_id);

-- What a channel's next message is made of: in no message yet, and held up by no earlier alert of the same job that is
-- under way there. A message that some recipients have already holds up nobody.
CREATE VIEW airflow_jobmon.deliveries_next AS
SELECT d.alert_id, d.channel, d.job_name, d.next_attempt_at
FROM airflow_jobmon.deliveries d
WHERE d.state = 'pending' AND d.message_id IS NULL
    AND NOT EXISTS (
        SELECT FROM airflow_jobmon.deliveries e
        LEFT JOIN airflow_jobmon.messages m ON m.id = e.message_id
        WHERE e.channel = d.channel AND e.job_name = d.job_name AND e.state = 'pending' AND e.alert_id < d.alert_id
            AND m.recipients IS NULL
            AND (e.message_id IS NOT NULL OR e.next_attempt_at > clock_timestamp())
    );

-- What is known of a channel: a pause (Retry-After, or the breath after a burst) and when its failure was last told.
CREATE TABLE airflow_jobmon.channels (
    name text PRIMARY KEY,
    added_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    notifier_seen_at timestamptz,         -- last given to DeliverAlertsOperator(notifiers=)
    paused_until timestamptz,
    failures integer NOT NULL DEFAULT 0,  -- temporary ones in a row
    last_sent_at timestamptz,
    last_error text,
    last_error_at timestamptz,
    dead_told_at timestamptz
);

-- Heartbeats of the running watchers.
CREATE TABLE airflow_jobmon.watchers (
    id uuid PRIMARY KEY,
    kind text NOT NULL,                   -- listen | trigger
    host text NOT NULL,
    pid integer NOT NULL,
    delivers boolean NOT NULL,
    listens boolean NOT NULL,             -- false: LISTEN does not arrive here, so it polls
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
