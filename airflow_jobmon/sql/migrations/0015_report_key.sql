-- What asked for a report, where it may ask again: the tries of one task make one report, and a channel gets it once.
ALTER TABLE airflow_jobmon.reports ADD COLUMN key text;
CREATE UNIQUE INDEX reports_key ON airflow_jobmon.reports (key) WHERE key IS NOT NULL;
