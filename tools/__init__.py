"""Programs for those who work on airflow_jobmon."""
