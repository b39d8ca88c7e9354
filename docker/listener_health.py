"""Exits with 0 if `airflow jobmon listen` on this host has sent a heartbeat within the last minute."""

from __future__ import annotations

import socket
import sys

import psycopg

from airflow_jobmon.runtime.connections import conninfo

ALIVE = """
    SELECT true FROM airflow_jobmon.watchers
    WHERE kind = 'listen' AND host = %s AND seen_at > clock_timestamp() - interval '1 minute'
"""

with psycopg.connect(conninfo("jobmon_default"), connect_timeout=10) as conn:
    sys.exit(0 if conn.execute(ALIVE, [socket.gethostname()]).fetchone() else 1)
