"""Watches the job log and evaluates jobs; no Airflow in it."""
