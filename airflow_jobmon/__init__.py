"""Watch jobs that run outside Airflow and log each run in a Postgres table."""

__version__ = "0.1.0"
