"""Binds the use cases to this Airflow: its connections, its storage, its configured channels."""
