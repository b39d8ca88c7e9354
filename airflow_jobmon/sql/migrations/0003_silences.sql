-- What is recorded and not sent for a while: the alerts of one job, or of all that a glob matches.
CREATE TABLE airflow_jobmon.silences (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,                   -- a job's, or a glob: * for any characters, ? for one, all else as it is
    reason text NOT NULL,
    silenced_by text NOT NULL,
    starts_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ends_at timestamptz NOT NULL,
    lifted_by text                        -- who ended it before its time, at ends_at
);
CREATE INDEX silences_ends_at ON airflow_jobmon.silences (ends_at);

ALTER TABLE airflow_jobmon.incidents
    ADD COLUMN silenced_at timestamptz,   -- since when a silence holds something back that is owed at its end
    ADD COLUMN acknowledged_at timestamptz,
    ADD COLUMN acknowledged_by text,
    ADD COLUMN acknowledged_note text;
