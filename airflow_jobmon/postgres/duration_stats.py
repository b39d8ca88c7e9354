"""Stores two results of a check of all jobs for frequent readers: its time, and how long each job usually takes."""

from __future__ import annotations

from typing import Any

from psycopg import Connection

from airflow_jobmon.postgres.queries import load_queries


def store_full_check(conn: Connection[Any]) -> None:
    """Store that all jobs were checked just now."""
    conn.execute(load_queries("duration_stats")["store_full_check"])


def refresh_durations(conn: Connection[Any]) -> None:
    """Store each job's median and 95th percentile of the last 30 days."""
    conn.execute(load_queries("duration_stats")["refresh_durations"])
