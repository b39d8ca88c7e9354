-- Exports of runs to files. Runs have left the log for a part exactly if that is `deleted`, which is written in the
-- transaction that deletes them; the file of any other part is no part of the export.
CREATE TABLE airflow_jobmon.archive_exports (
    id uuid PRIMARY KEY,
    folder text NOT NULL,                 -- its own, as a URI
    before timestamptz NOT NULL,          -- runs that started before this
    job_name text,                        -- null: of all jobs
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz               -- null: under way, or interrupted
);
CREATE INDEX archive_exports_unfinished ON airflow_jobmon.archive_exports (started_at) WHERE finished_at IS NULL;

CREATE TABLE airflow_jobmon.archive_parts (
    export_id uuid NOT NULL REFERENCES airflow_jobmon.archive_exports ON DELETE CASCADE,
    number integer NOT NULL,
    name text NOT NULL,
    relation text NOT NULL,
    state text NOT NULL DEFAULT 'written' CHECK (state IN ('written', 'verified', 'deleted')),
    runs bigint,
    bytes bigint,
    sha256 text,
    PRIMARY KEY (export_id, number)
);
