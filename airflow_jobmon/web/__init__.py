"""What Airflow's API server serves under /jobmon."""
