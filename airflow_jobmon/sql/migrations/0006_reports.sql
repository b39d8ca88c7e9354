-- What was reported: digests, reviews, audits. Each goes to a channel as one message, stored before it is sent.
CREATE TABLE airflow_jobmon.reports (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,                   -- daily | weekly | audit | drill
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    title text NOT NULL,
    details jsonb NOT NULL                -- the report as JSON
);
CREATE INDEX reports_created_at ON airflow_jobmon.reports (created_at);
CREATE INDEX reports_kind ON airflow_jobmon.reports (kind, created_at);
ALTER TABLE airflow_jobmon.messages
    ADD COLUMN report_id bigint REFERENCES airflow_jobmon.reports,  -- null: it holds alerts
    ADD COLUMN last_error text;           -- of a report; what kept an alert is in its delivery
CREATE INDEX messages_report_id ON airflow_jobmon.messages (report_id) WHERE report_id IS NOT NULL;
