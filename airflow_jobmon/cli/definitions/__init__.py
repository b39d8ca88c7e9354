"""The commands as `airflow` lists them: words and no code, since they are imported on every airflow call."""
